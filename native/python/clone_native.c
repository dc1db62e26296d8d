/* Native code in shared memory, with a thread-local block of the caller's: no host thread. */
#include "clone_ways.h"

#include <linux/sched.h>

#include "deferred_release.h"

long core_clone_native(struct core_request *request)
{
    ramet_sigset mask = ramet_block_signals();
    struct ramet_entry entry = {ramet_run_native, (void *)(uintptr_t)mask, request->fn, request->arg, core_exit_call(request)};
    long pid = ramet_clone(&request->kernel, &entry);
    ramet_set_signal_mask(mask);
    if (pid > 0)
        ramet_defer_release(pid, request->kernel.args.flags & CLONE_THREAD, request->stack, request->words);
    return pid;
}
