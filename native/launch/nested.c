/* A pile of the carriers that child processes have started; each entry is a hold. */
#define _GNU_SOURCE
#include "nested.h"

#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "carrier.h"
#include "futex.h"
#include "libc_thread.h"
#include "pile.h"
#include "pool.h"

#define PATIENCE_NANOSECONDS INT64_C(10000000000)
#define PAUSE_NANOSECONDS 500000

static struct ramet_link *nested;

void ramet_nested_note(struct ramet_carrier *carrier)
{
    if (ramet_epoch() == 0 || ramet_pool_is_ours())
        return;
    carrier->own_end = ramet_end_word();
    carrier->maker = getpid();
}

static bool is_over(struct ramet_carrier *carrier)
{
    return __atomic_load_n(&carrier->stage, __ATOMIC_ACQUIRE) == RAMET_ENDED || carrier->epoch != ramet_epoch();
}

/* Goes through all; the chosen one is left out, and what is over is let go. */
static struct ramet_carrier *find(pid_t maker, bool take)
{
    struct ramet_carrier *found = NULL;
    struct ramet_link *next;
    for (struct ramet_link *link = ramet_take_all(&nested); link != NULL; link = next) {
        struct ramet_carrier *carrier = (struct ramet_carrier *)link;
        next = link->next;
        if (is_over(carrier)) {
            ramet_carrier_release(carrier);
            continue;
        }
        bool chosen = found == NULL && carrier->maker == maker;
        if (chosen)
            found = carrier;
        if (!chosen || !take)
            ramet_push(&nested, link);
    }
    return found;
}

void ramet_nested_enter(struct ramet_carrier *carrier)
{
    find(0, false); /* sweeps */
    if (carrier->own_end != NULL)
        ramet_push(&nested, &ramet_carrier_hold(carrier)->link);
}

bool ramet_nested_any(void)
{
    return __atomic_load_n(&nested, __ATOMIC_ACQUIRE) != NULL && find(getpid(), false) != NULL;
}

/* The kernel clears both words, the one when the thread is gone and the other when the child is. */
static bool ends_soon(const struct ramet_carrier *carrier)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    const int64_t deadline = ramet_now() + PATIENCE_NANOSECONDS;
    while (ramet_now() < deadline) {
        if (__atomic_load_n(carrier->own_end, __ATOMIC_ACQUIRE) == 0 &&
            __atomic_load_n(carrier->word, __ATOMIC_ACQUIRE) == 0)
            return true;
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
    }
    return false;
}

struct ramet_carrier *ramet_nested_take(pid_t maker)
{
    if (__atomic_load_n(&nested, __ATOMIC_ACQUIRE) == NULL)
        return NULL;
    struct ramet_carrier *carrier = find(maker, true);
    if (carrier == NULL || ends_soon(carrier))
        return carrier;
    ramet_push(&nested, &carrier->link); /* it may have exec'ed, and its children live on */
    return NULL;
}
