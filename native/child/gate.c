/* The gate at which a child waits that shall begin stopped. */
#include "child.h"

#include <linux/futex.h>

void ramet_gate_wait(struct ramet_gate *gate)
{
    while (__atomic_load_n(&gate->open, __ATOMIC_ACQUIRE) == 0)
        ramet_syscall4(__NR_futex, &gate->open, FUTEX_WAIT, 0, NULL);
}

int ramet_run_gated(void *fn, void *arg, void *context)
{
    struct ramet_gate *gate = context;
    ramet_gate_wait(gate);
    struct ramet_gate passed = *gate;
    ramet_syscall2(__NR_munmap, gate, sizeof *gate);
    return passed.run(fn, arg, passed.context);
}
