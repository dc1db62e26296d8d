/* A child that reports its pids, waits until the parent has looked at it, and ends. */
#include <linux/prctl.h>
#include <linux/signal.h>

#include "futex_word.h"

/* fn and arg may be anything: the request may have given this child a stack by an address alone, with nothing laid on it. */
int ramet_run_probe(void *fn, void *arg, void *context)
{
    struct ramet_probe *probe = context;
    (void)fn, (void)arg;
    /* A parent that dies first opens nothing. */
    ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    probe->pid = (int)ramet_syscall0(__NR_getpid);
    probe->ppid = (int)ramet_syscall0(__NR_getppid);
    probe->tid = (int)ramet_syscall0(__NR_gettid);
    ramet_futex_set(&probe->arrived, 1);
    ramet_futex_await_change(&probe->open, 0);
    return 0;
}
