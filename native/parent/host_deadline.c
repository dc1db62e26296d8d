/* One thread a deadline; it ends with the child or at the deadline. */
#include "host_deadline.h"

#include <errno.h>
#include <stdlib.h>

#include "detached_thread.h"
#include "futex.h"
#include "host_thread.h"

struct deadline {
    struct ramet_host *host;
    int claim;
    int64_t at;
};

static void *keep(void *context)
{
    struct deadline *deadline = context;
    struct ramet_host *host = deadline->host;
    while (!ramet_host_is_over(host, deadline->claim) && ramet_now() < deadline->at)
        ramet_futex_wait_until(&host->over, deadline->claim, deadline->at);
    ramet_futex_wake(&host->over); /* the kernel wakes one waiter, and there may be more */
    if (!ramet_host_is_over(host, deadline->claim))
        host->callbacks->expire(host->context);
    ramet_host_release(host);
    free(deadline);
    return NULL;
}

int ramet_host_set_deadline(struct ramet_host *host, int claim, int child, int64_t timeout)
{
    int64_t at = ramet_now() + timeout;
    host->child = child;
    host->kills = false;
    __atomic_store_n(&host->deadline, at, __ATOMIC_RELEASE);
    ramet_futex_wake(host->word); /* it shortens its wait */
    struct deadline *deadline = calloc(1, sizeof *deadline);
    if (deadline == NULL)
        return ENOMEM;
    *deadline = (struct deadline){ramet_host_hold(host), claim, at};
    int error = ramet_start_detached_thread(keep, deadline, 0);
    if (error != 0) {
        ramet_host_release(host);
        free(deadline);
    }
    return error;
}
