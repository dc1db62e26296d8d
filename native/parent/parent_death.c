/*
 * The parent-death signal follows the thread that made the child, not its process, and it stays
 * set across exec. So the signal is one that does nothing by default, for the program that the
 * child may exec, and its handler looks whether the process is still there: when only the thread
 * has ended, the kernel has made another thread of it the parent, and getppid() has not changed.
 */
#define _GNU_SOURCE
#include "parent_death.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

#define SIGNAL SIGURG

/* Out of sight of a child in another pid namespace, which then believes every such signal. */
#define OUT_OF_SIGHT 0
#define NOBODY (-1)

static _Thread_local pid_t parent;

static void on_parent_death(int signal)
{
    (void)signal;
    if (ramet_syscall0(__NR_getppid) == parent)
        return;
    ramet_syscall2(__NR_kill, ramet_syscall0(__NR_getpid), SIGKILL);
    ramet_syscall1(__NR_exit_group, 128 + SIGKILL); /* the init of a pid namespace does not hear its own SIGKILL */
}

void ramet_die_with_process(pid_t owner)
{
    struct sigaction action = {.sa_handler = on_parent_death, .sa_flags = SA_RESTART};
    parent = ramet_syscall0(__NR_getppid) == OUT_OF_SIGHT ? NOBODY : owner;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGNAL, &action, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGNAL) < 0)
        return;
    if (parent != NOBODY)
        on_parent_death(SIGNAL); /* it may have died before */
}
