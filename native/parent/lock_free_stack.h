/*
 * A pile of things left to look after: pushed one by one, taken all at once, without a lock, since a
 * lock that another thread holds at the moment of a fork stays locked in the child for ever.
 */
#ifndef RAMET_LOCK_FREE_STACK_H
#define RAMET_LOCK_FREE_STACK_H

#include <stddef.h>

struct ramet_link {
    struct ramet_link *next;
};

static inline void ramet_push(struct ramet_link **pile, struct ramet_link *link)
{
    link->next = __atomic_load_n(pile, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(pile, &link->next, link, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

static inline struct ramet_link *ramet_take_all(struct ramet_link **pile)
{
    return __atomic_exchange_n(pile, NULL, __ATOMIC_ACQUIRE);
}

#endif
