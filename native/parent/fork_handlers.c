/* A handler may wait for ever: then its thread stays, and the caller continues without it. */
#include "fork_handlers.h"

#include <stdlib.h>

#include "detached_thread.h"
#include "futex.h"
#include "libc_fork.h"
#include "threads_at_rest.h"

enum { RUNNING, DONE, NOT_DONE };

/* Held by the thread and by the caller, which may stop waiting for it. */
struct handler_run {
    int result; /* a futex word */
    int holders;
    int64_t patience;
};

static void release(struct handler_run *run)
{
    if (__atomic_sub_fetch(&run->holders, 1, __ATOMIC_ACQ_REL) == 0)
        free(run);
}

static void *run_handlers(void *context)
{
    struct handler_run *run = context;
    bool rest = ramet_all_threads_at_rest(run->patience);
    if (rest)
        ramet_run_fork_handlers();
    ramet_futex_set(&run->result, rest ? DONE : NOT_DONE);
    release(run);
    return NULL;
}

bool ramet_run_fork_handlers_within(int64_t nanoseconds)
{
    struct handler_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return false;
    run->holders = 2;
    run->patience = nanoseconds / 2;
    if (ramet_start_detached_thread(run_handlers, run, 0) != 0) {
        free(run);
        return false;
    }
    int64_t until = ramet_now() + nanoseconds;
    while (__atomic_load_n(&run->result, __ATOMIC_ACQUIRE) == RUNNING && ramet_now() < until)
        ramet_futex_wait_while(&run->result, RUNNING, until - ramet_now());
    bool done = __atomic_load_n(&run->result, __ATOMIC_ACQUIRE) == DONE;
    release(run);
    return done;
}
