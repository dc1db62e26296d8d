/* A child that shall begin stopped does nothing before SIGCONT, whichever call makes it and whatever it shares. */
#include "check.h"
#include "clone_stopped.h"
#include "kernel_features.h"
#include "task_state.h"

static char stack[65536] __attribute__((aligned(16)));
static int *ran;

static int run(void *fn, void *arg, void *context)
{
    (void)fn, (void)arg;
    *(int *)context = 1;
    return FOUND;
}

static void expect_stopped(long pid)
{
    siginfo_t info = {0};
    CHECK(pid > 0);
    CHECK(ramet_task_state(pid) == 'T');
    CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED) == 0 && info.si_code == CLD_STOPPED);
    CHECK(*ran == 0);
    kill((pid_t)pid, SIGCONT);
    CHECK(code_of(pid) == FOUND);
    CHECK(*ran == 1);
    *ran = 0;
}

static void stops(bool legacy, uint64_t flags)
{
    const struct ramet_entry entry = {run, ran, NULL, NULL, __NR_exit_group};
    struct ramet_request request = {.size = sizeof request.args, .legacy = legacy, .stopped = true};
    request.args.flags = flags;
    request.args.exit_signal = SIGCHLD;
    if (flags & CLONE_VM) {
        request.args.stack = (uintptr_t)stack;
        request.args.stack_size = sizeof stack;
    }
    ramet_sigset mask = ramet_block_signals();
    long pid = ramet_clone(&request, &entry);
    ramet_set_signal_mask(mask);
    expect_stopped(pid);
}

static void stops_twice(bool legacy)
{
    struct ramet_request request = {.size = sizeof request.args, .legacy = legacy, .stopped = true};
    request.args.exit_signal = SIGCHLD;
    long pid = ramet_clone_twice(&request);
    if (pid == 0) {
        *ran = 1;
        _exit(FOUND);
    }
    expect_stopped(pid);
}

int main(void)
{
    ran = shared_memory(sizeof *ran);
    for (int legacy = !ramet_has_clone3(); legacy <= 1; legacy++) {
        stops(legacy, 0);
        stops(legacy, CLONE_VM);
        stops_twice(legacy);
    }
    return passed();
}
