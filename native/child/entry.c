/* The first steps of a new task. */
#include "child.h"

#include <linux/signal.h>

ramet_sigset ramet_block_signals(void)
{
    ramet_sigset all = ~(ramet_sigset)0, old = 0;
    ramet_syscall4(__NR_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof all);
    return old;
}

void ramet_set_signal_mask(ramet_sigset mask)
{
    ramet_syscall4(__NR_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
}

long ramet_set_action(int signal, void *handler)
{
    struct ramet_signal_action action = {.handler = handler};
    return ramet_syscall4(__NR_rt_sigaction, signal, &action, NULL, sizeof action.mask);
}

/* What CLONE_CLEAR_SIGHAND does, for kernels and calls that do not have it: ignored stays ignored. */
void ramet_clear_handlers(void)
{
    for (int signal = 1; signal <= RAMET_SIGNALS; signal++) {
        struct ramet_signal_action action;
        if (ramet_syscall4(__NR_rt_sigaction, signal, NULL, &action, sizeof action.mask) < 0)
            continue;
        if (action.handler == (void *)SIG_DFL || action.handler == (void *)SIG_IGN)
            continue;
        ramet_set_action(signal, (void *)SIG_DFL);
    }
}

/* Native code by its address. The signal mask is passed as a value, so that the caller need not wait. */
int ramet_run_native(void *fn, void *arg, void *mask)
{
    ramet_set_signal_mask((ramet_sigset)mask);
    return ((int (*)(void *))fn)(arg);
}
