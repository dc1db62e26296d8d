/* Native code in shared memory with a thread-local block that the caller brings: nobody waits for it. */
#include "clone_ways.h"

#include <linux/sched.h>

#include "deferred_release.h"

long core_birth_native(struct core_birth *birth)
{
    ramet_sigset mask = ramet_block_signals();
    struct ramet_entry entry = {ramet_run_native, (void *)(uintptr_t)mask, birth->fn, birth->arg, core_exit_call(birth)};
    long pid = ramet_clone(&birth->request, &entry);
    ramet_set_signal_mask(mask);
    if (pid > 0)
        ramet_defer_release(pid, birth->request.args.flags & CLONE_THREAD, birth->stack, birth->words);
    return pid;
}
