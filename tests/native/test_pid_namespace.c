/* A namespace's init is a sibling of its maker, and its stack is used again when it is gone. */
#include <fcntl.h>
#include <linux/sched.h>

#include "check.h"
#include "pid_namespace.h"

#define MANY 300 /* more than one block of stacks */
#define ROUNDS 20

struct made {
    int count;
    pid_t pids[MANY];
};

static struct made *made;

static void make(int *pidfds, int count)
{
    made->count = 0;
    for (int i = 0; i < count; i++) {
        long pid = ramet_new_pid_namespace(&pidfds[i]);
        CHECK(pid > 0 && pidfds[i] >= 0 && fcntl(pidfds[i], F_GETFD) == FD_CLOEXEC);
        made->pids[made->count++] = (pid_t)pid;
    }
}

static void kill_all(const int *pidfds, int count)
{
    for (int i = 0; i < count; i++) {
        CHECK(ramet_syscall4(__NR_pidfd_send_signal, pidfds[i], SIGKILL, NULL, 0) == 0);
        CHECK(waitid(P_PIDFD, (id_t)pidfds[i], NULL, WEXITED | WNOHANG) == -1 && errno == ECHILD); /* the parent's */
        close(pidfds[i]);
    }
}

static int lines_of_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int lines = 0;
    CHECK(maps != NULL);
    for (int c; (c = fgetc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static void be_the_maker(void)
{
    static int pidfds[MANY];
    make(pidfds, MANY);
    kill_all(pidfds, MANY);
    int before = lines_of_maps();
    raise(SIGSTOP); /* until they are reaped, which all have left the memory then */
    for (int round = 0; round < ROUNDS; round++) {
        make(pidfds, MANY);
        kill_all(pidfds, MANY);
        raise(SIGSTOP);
    }
    CHECK(lines_of_maps() <= before + 1); /* one round begins on the stack that is tried last */
    _exit(FOUND);
}

static void reap_inits(void)
{
    for (int i = 0; i < made->count; i++)
        CHECK(code_of(made->pids[i]) == -SIGKILL);
}

int main(void)
{
    int status;
    if (geteuid() != 0)
        SKIP("a pid namespace needs CAP_SYS_ADMIN");
    made = shared_memory(sizeof *made);
    pid_t maker = fork();
    if (maker == 0)
        be_the_maker();
    for (int round = 0; round <= ROUNDS; round++) {
        CHECK(waitpid(maker, &status, WUNTRACED) == maker && WIFSTOPPED(status));
        reap_inits();
        CHECK(kill(maker, SIGCONT) == 0);
    }
    CHECK(code_of(maker) == FOUND);
    return passed();
}
