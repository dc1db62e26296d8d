/* A hosted child that outlives its deadline is killed, and recovered; one that does not is left alone. */
#include "host_deadline.h"
#include "hosts.h"

#define MILLISECOND INT64_C(1000000)
#define HOUR (3600000 * MILLISECOND)

static int end(void *fn, void *arg, void *context)
{
    (void)fn, (void)arg, (void)context;
    return FOUND;
}

static void lend(struct ramet_host *host, int (*run)(void *, void *, void *), int64_t timeout, int code)
{
    int claim = host->over;
    seen.child = (pid_t)start_hosted(host, run);
    CHECK(ramet_host_set_deadline(host, claim, seen.child, timeout) == 0);
    CHECK(code_of(seen.child) == code);
    await_over(host, claim);
}

int main(void)
{
    struct ramet_host *host = start_host(true);
    lend(host, wait_for_ever, MILLISECOND, -SIGKILL);
    CHECK(seen.expired == 1 && seen.recovered == 1);
    CHECK(ramet_host_claim(host));
    lend(host, end, HOUR, FOUND);
    while (__atomic_load_n(&host->holders, __ATOMIC_ACQUIRE) != 2) /* the threads of the deadlines are about to end */
        sched_yield();
    CHECK(seen.expired == 1);
    CHECK(ramet_host_claim(host));
    ramet_host_dismiss(host);
    ramet_host_wait_end(host);
    ramet_host_release(host);
    return passed();
}
