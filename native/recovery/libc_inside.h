/* What the files of this folder have in common. */
#pragma once

#include "libc_recovery.h"

/* recognize_libc.c */
bool ramet_is_on(enum ramet_libc_part part);

/* condvar.c. Finds out which layout it is, by one that is made. Whether it is one of those that are known. */
bool ramet_condvar_find_layout(void);

/* mutex.c. With one of the caller's own that is free, and its tid: whether it has an owner as long as it is locked. */
bool ramet_mutex_is_known(pthread_mutex_t *mutex, int tid);

/* lost_threads.c. Whether a thread that lives and was made for this function stands in the list. */
bool ramet_thread_is_listed(uintptr_t thread, uintptr_t function);

/* arena.c. In a thread that has found its own, which no other thread uses: whether all in it is as malloc_state.c has it. */
bool ramet_arena_is_known(const struct ramet_arena *arena);

/*
 * condvar.c. Words of the stack of a thread that died at an unknown place. What lies there may be of an earlier wait: so from
 * each condition variable that is found only so many are removed as it counts and as do not sleep on it.
 */
#define RAMET_CONDVAR_WINDOW_WORDS 64 /* in which all of one wait lies */
void ramet_condvar_forget_dead(void *const *stack, size_t count);

/*
 * malloc_state.c. The lock of the arena in which a block lies, one from malloc; NULL in the main arena, and where it cannot
 * be found.
 */
int *ramet_malloc_lock_over(const void *block);

/*
 * With a lock that no living task holds: the arena's free memory is lost from then on, its blocks do no harm,
 * and the lock is given back. False, with nothing done, where the arena is not in order or this malloc is not known.
 */
bool ramet_malloc_mend(int *lock);

/* Whether the lock is free, and the arena in order: with this block, which has room for so many bytes, in it. */
bool ramet_malloc_is_in_order(int *lock, const void *block, size_t bytes);

/* Whether the counts of a cache are those of its lists, and this block, freed just now, is the first in one. */
bool ramet_malloc_counts_are_right(uintptr_t cache, uintptr_t freed);

/* Whether a block is what a thread keeps for itself of small blocks, in a form that has counts which can be wrong. */
bool ramet_malloc_is_cache(uintptr_t block);

/* A thread that takes a block from it tells so twice: the list of these blocks is right, and the count is made so. */
void ramet_malloc_recount(uintptr_t cache);

/* Waits for the lock as malloc does, and gives it back; whether it was to be had until that moment of the monotonic clock. */
bool ramet_malloc_lock_is_had(int *lock, int64_t deadline);
