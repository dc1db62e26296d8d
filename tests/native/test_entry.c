/* The first steps of a new task: signals are blocked and unblocked, handlers cleared, native code is called. */
#include "check.h"

static const ramet_sigset unblockable = UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGSTOP - 1);
static ramet_sigset mask_in_native_code;

static void on_signal(int signal)
{
    (void)signal;
}

static void *handler_of(int signal)
{
    struct ramet_signal_action action = {0};
    CHECK(ramet_syscall4(__NR_rt_sigaction, signal, NULL, &action, sizeof action.mask) == 0);
    return action.handler;
}

static int native_code(void *arg)
{
    mask_in_native_code = ramet_block_signals();
    return *(int *)arg;
}

int main(void)
{
    int code = FOUND;
    ramet_set_signal_mask(1);
    CHECK(ramet_block_signals() == 1);
    CHECK(ramet_block_signals() == ~unblockable);
    CHECK(ramet_run_native((void *)native_code, &code, (void *)2) == FOUND);
    CHECK(mask_in_native_code == 2);
    ramet_set_signal_mask(0);
    signal(SIGUSR1, on_signal);
    CHECK(ramet_set_action(SIGUSR2, (void *)SIG_IGN) == 0);
    ramet_clear_handlers();
    CHECK(handler_of(SIGUSR1) == (void *)SIG_DFL);
    CHECK(handler_of(SIGUSR2) == (void *)SIG_IGN);
    return passed();
}
