/* A child that tells who it is, waits until it has been looked at, and ends. */
#include "child.h"

#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/signal.h>

static void wait_while(int *word, int value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
        ramet_syscall4(__NR_futex, word, FUTEX_WAIT, value, NULL);
}

/* fn and arg are whatever lies at the top of its stack, which this child was perhaps given by an address alone. */
int ramet_run_probe(void *fn, void *arg, void *context)
{
    struct ramet_probe *trial = context;
    (void)fn, (void)arg;
    /* Nobody would open to it if its parent died first. */
    ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    trial->pid = (int)ramet_syscall0(__NR_getpid);
    trial->ppid = (int)ramet_syscall0(__NR_getppid);
    trial->tid = (int)ramet_syscall0(__NR_gettid);
    __atomic_store_n(&trial->arrived, 1, __ATOMIC_RELEASE);
    ramet_syscall3(__NR_futex, &trial->arrived, FUTEX_WAKE, 1);
    wait_while(&trial->open, 0);
    return 0;
}
