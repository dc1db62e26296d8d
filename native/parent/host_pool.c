/* A table of slots, each taken and filled by one atomic exchange: a task that is killed in between leaves no lock. */
#define _GNU_SOURCE
#include "host_pool.h"

#include <stddef.h>

#include "epoch.h"
#include "host_thread.h"
#include "lock_free_stack.h"

#define MOST_IDLE 128

struct pool {
    struct ramet_host *idle[MOST_IDLE];
    struct ramet_link *busy; /* given back while their child lived */
};

static struct pool *pool;

static void __attribute__((constructor)) make_pool(void)
{
    pool = ramet_wiped_on_fork(sizeof *pool);
}

/* Claims one that is in a slot. */
static struct ramet_host *take_from_slots(void)
{
    for (int i = 0; i < MOST_IDLE; i++) {
        struct ramet_host **slot = &pool->idle[i];
        if (__atomic_load_n(slot, __ATOMIC_RELAXED) == NULL)
            continue;
        struct ramet_host *host = __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL);
        if (host == NULL)
            continue;
        if (ramet_host_claim(host))
            return host;
        ramet_host_release(host); /* it has ended */
    }
    return NULL;
}

static void put_idle(struct ramet_host *host)
{
    for (int i = 0; i < MOST_IDLE; i++) {
        struct ramet_host *empty = NULL;
        if (__atomic_compare_exchange_n(&pool->idle[i], &empty, host, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return;
    }
    if (ramet_host_claim(host))
        ramet_host_dismiss(host);
    ramet_host_release(host);
}

void ramet_pool_give_back(struct ramet_host *host)
{
    if (!host->reusable || __atomic_load_n(&host->stage, __ATOMIC_ACQUIRE) == RAMET_ENDED)
        ramet_host_release(host);
    else if (host->epoch != ramet_epoch())
        return; /* its thread is not in this process; only a fork copied the handle */
    else if (__atomic_load_n(&host->over, __ATOMIC_ACQUIRE) == 0)
        put_idle(host);
    else
        ramet_push(&pool->busy, &host->link);
}

static void sweep_busy(void)
{
    RAMET_EACH_TAKEN(link, &pool->busy)
        ramet_pool_give_back((struct ramet_host *)link);
}

struct ramet_host *ramet_pool_take(void)
{
    if (pool == NULL)
        return NULL;
    struct ramet_host *host = take_from_slots();
    if (host != NULL || __atomic_load_n(&pool->busy, __ATOMIC_RELAXED) == NULL)
        return host;
    sweep_busy();
    return take_from_slots();
}

void ramet_pool_drain(void)
{
    struct ramet_host *host;
    while ((host = ramet_pool_take()) != NULL) {
        ramet_host_dismiss(host);
        ramet_host_wait_end(host);
        ramet_host_release(host);
    }
}
