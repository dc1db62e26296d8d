/* The gate of a child that begins stopped. */
#include "futex_word.h"

void ramet_gate_wait(struct ramet_gate *gate)
{
    ramet_futex_await_change(&gate->open, 0);
}

int ramet_run_gated(void *fn, void *arg, void *context)
{
    struct ramet_gate *gate = context;
    ramet_gate_wait(gate);
    struct ramet_gate passed = *gate;
    ramet_syscall2(__NR_munmap, gate, sizeof *gate);
    return passed.run(fn, arg, passed.context);
}
