/* libc's fork makes the child of a request, runs the handlers of a fork, and leaves signals as they were. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "libc_fork.h"

static int before, in_parent, in_child;

static void count_before(void)
{
    before++;
}

static void count_in_parent(void)
{
    in_parent++;
}

static void count_in_child(void)
{
    in_child++;
}

static void on_signal(int signal)
{
    (void)signal;
}

/* With FS the child's working directory is the caller's. */
static void makes_the_child_of_the_request(void)
{
    const struct ramet_request request = {.args.flags = CLONE_FS, .args.exit_signal = SIGCHLD, .legacy = true};
    const struct ramet_entry entry = {0};
    char directory[16];
    long pid;
    if (!ramet_libc_fork(&request, &entry, &pid))
        SKIP("no Syscall User Dispatch: it needs Linux 5.11 on x86_64, and no filter that refuses it");
    if (pid == 0)
        _exit(chdir("/proc") == 0 && before == 1 && in_child == 1 && in_parent == 0 ? FOUND : 1);
    CHECK(code_of(pid) == FOUND);
    CHECK(before == 1 && in_parent == 1 && in_child == 0);
    CHECK(strcmp(getcwd(directory, sizeof directory), "/proc") == 0);
}

static void a_refusal_is_the_kernels(void)
{
    const struct ramet_request request = {.args.flags = CLONE_THREAD, .args.exit_signal = SIGCHLD, .legacy = true};
    const struct ramet_entry entry = {0};
    long pid = 0;
    CHECK(ramet_libc_fork(&request, &entry, &pid) && pid == -EINVAL);
}

int main(void)
{
    signal(SIGSYS, on_signal);
    ramet_set_signal_mask(5);
    pthread_atfork(count_before, count_in_parent, count_in_child);
    makes_the_child_of_the_request();
    a_refusal_is_the_kernels();
    before = in_parent = 0;
    ramet_run_fork_handlers();
    CHECK(before == 1 && in_parent == 1);
    CHECK(ramet_block_signals() == 5);
    CHECK(signal(SIGSYS, SIG_DFL) == on_signal);
    return passed();
}
