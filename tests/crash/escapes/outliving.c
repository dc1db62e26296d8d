/* Living longer than it may. The stage looks for processes that are still there. */
#include "attempt.h"

#include <sys/prctl.h>
#include <sys/wait.h>

/* Until the alarm that main() has set, which is after every deadline. */
static int stay(void)
{
    static volatile bool is_over;
    while (!is_over)
        pause();
    return STOPPED;
}

ESCAPE(sleeps_past_deadline, SEEN, "all", "sleeps past the deadline")
{
    return stay();
}

ESCAPE(computes_past_deadline, SEEN, "all", "computes past the deadline")
{
    volatile bool end = false;
    while (!end)
        ;
    return STOPPED;
}

ESCAPE(ignores_signals, SEEN, "all", "ignores all signals, and sleeps past the deadline")
{
    sigset_t all;
    sigfillset(&all);
    for (int number_of = 1; number_of <= 64; number_of++)
        signal(number_of, SIG_IGN);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return stay();
}

static int orphan(bool session)
{
    fflush(NULL);
    if (fork() != 0)
        _exit(THROUGH);
    if (session)
        setsid();
    if (fork() != 0)
        _exit(THROUGH);
    alarm(30);
    return stay();
}

ESCAPE(double_fork, SEEN, "all", "forks twice and ends, and the grandchild sleeps")
{
    return orphan(false);
}

ESCAPE(daemon_of_its_own, SEEN, "all", "forks twice with a session of its own, and closes all")
{
    close(0);
    close(1);
    close(2);
    return orphan(true);
}

ESCAPE(left_child, SEEN, "all", "ends, and leaves a child that holds its output")
{
    if (fork() == 0) {
        alarm(30);
        stay();
    }
    return THROUGH;
}

ESCAPE(child_of_thread_group, SEEN, "all", "ends, and leaves a child in a process group of its own that ignores signals")
{
    if (fork() == 0) {
        setpgid(0, 0);
        for (int number_of = 1; number_of <= 64; number_of++)
            if (number_of != SIGALRM)
                signal(number_of, SIG_IGN);
        close(0);
        close(1);
        close(2);
        alarm(30);
        stay();
    }
    return THROUGH;
}

ESCAPE(stops_itself, SEEN, "all", "stops itself, which is no end")
{
    kill(getpid(), SIGSTOP);
    return stay();
}

ESCAPE(stopped_child, SEEN, "all", "ends, and leaves a child that is stopped")
{
    pid_t child = fork();
    if (child == 0) {
        close(0);
        close(1);
        close(2);
        alarm(30);
        kill(getpid(), SIGSTOP);
        stay();
    }
    waitpid(child, NULL, WUNTRACED);
    return THROUGH;
}

ESCAPE(chain_of_forks, SEEN, "all", "forks and ends over and over, so that its pid is another each time")
{
    close(0);
    close(1);
    close(2);
    if (fork() != 0)
        return THROUGH;
    setsid();
    for (int i = 0; i < 10000; i++) {
        pid_t child = fork();
        if (child > 0)
            _exit(0);
        if (child < 0)
            sched_yield();
    }
    alarm(30);
    return stay();
}

ESCAPE(death_with_parent_off, SEEN, "all", "forbids the signal at its parent's end, and leaves a child")
{
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    return orphan(true);
}

ESCAPE(vforked_child, SEEN, "all", "sleeps in a child that it waits for in vfork")
{
    pid_t child = vfork();
    if (child == 0)
        for (;;)
            syscall(SYS_pause);
    return THROUGH;
}
