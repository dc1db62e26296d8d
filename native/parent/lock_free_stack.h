/*
 * A stack of things to look at later: pushed one by one, taken all at once, without a lock, since a
 * lock that another thread holds at the moment of a fork stays locked in the child for ever.
 */
#pragma once

#include <stddef.h>

struct ramet_link {
    struct ramet_link *next;
};

static inline void ramet_push(struct ramet_link **stack, struct ramet_link *link)
{
    link->next = __atomic_load_n(stack, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(stack, &link->next, link, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

static inline struct ramet_link *ramet_take_all(struct ramet_link **stack)
{
    return __atomic_exchange_n(stack, NULL, __ATOMIC_ACQUIRE);
}

/* A loop over all that are taken; its body may push each of them again. */
#define RAMET_EACH_TAKEN(link, stack)                                                                                  \
    for (struct ramet_link *link = ramet_take_all(stack), *next; link != NULL && (next = link->next, 1); link = next)
