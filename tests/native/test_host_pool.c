/* A host thread that is given back is taken again when its child is gone, and all that rest are ended by a drain. */
#include "epoch.h"
#include "hosts.h"
#include "host_pool.h"

static int wait_for_word(void *fn, void *arg, void *context)
{
    (void)fn, (void)arg, (void)context;
    ramet_futex_await_change(&seen.expired, 0);
    return FOUND;
}

int main(void)
{
    if (ramet_epoch() == 0)
        SKIP("the kernel has no MADV_WIPEONFORK");
    CHECK(ramet_pool_take() == NULL);
    struct ramet_host *host = start_host(true);
    int claim = host->over;
    long pid = start_hosted(host, wait_for_word);
    ramet_pool_give_back(ramet_host_hold(host));
    CHECK(ramet_pool_take() == NULL); /* its child lives */
    ramet_futex_set(&seen.expired, 1);
    CHECK(code_of(pid) == FOUND);
    await_over(host, claim);
    CHECK(ramet_pool_take() == host);
    CHECK(code_of(start_hosted(host, wait_for_word)) == FOUND);
    await_over(host, host->claims);
    ramet_pool_give_back(host);
    ramet_pool_drain();
    CHECK(seen.discarded == 1);
    while (__atomic_load_n(&host->holders, __ATOMIC_ACQUIRE) != 1) /* its thread is about to end */
        sched_yield();
    CHECK(ramet_pool_take() == NULL);
    ramet_host_release(host);
    ramet_pool_give_back(start_host(false)); /* it is never taken again */
    CHECK(ramet_pool_take() == NULL);
    return passed();
}
