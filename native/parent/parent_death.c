/*
 * The parent-death signal comes with the end of the thread that made the child, not of its process, and it stays
 * set across exec. So the signal is one that is ignored by default, for the program that the child may
 * exec, and its handler checks whether the process has ended: when only the thread has ended, the kernel
 * has made another thread of the process the parent, and getppid() has not changed.
 */
#define _GNU_SOURCE
#include "parent_death.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

#define SIGNAL SIGURG

/* getppid() of a child in another pid namespace: there every such signal ends it. */
#define NOT_VISIBLE 0
#define NO_PID (-1)

static _Thread_local pid_t parent;

static void on_parent_death(int signal)
{
    (void)signal;
    if (ramet_syscall0(__NR_getppid) == parent)
        return;
    ramet_syscall2(__NR_kill, ramet_syscall0(__NR_getpid), SIGKILL);
    ramet_syscall1(__NR_exit_group, 128 + SIGKILL); /* the init of a pid namespace does not get its own SIGKILL */
}

void ramet_die_with_process(pid_t owner)
{
    struct sigaction action = {.sa_handler = on_parent_death, .sa_flags = SA_RESTART};
    parent = ramet_syscall0(__NR_getppid) == NOT_VISIBLE ? NO_PID : owner;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGNAL, &action, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGNAL) < 0)
        return;
    if (parent != NO_PID)
        on_parent_death(SIGNAL); /* it may have died before */
}
