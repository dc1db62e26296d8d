/* What the files of this folder have in common. */
#ifndef RAMET_LIBC_INSIDE_H
#define RAMET_LIBC_INSIDE_H

#include "libc_recovery.h"

/*
 * condvar.c. Words of the stack of a thread that died, nobody knows where. What lies there may be of an earlier wait: so from
 * each condition variable that is found only so many are removed as it counts and as do not sleep on it.
 */
#define RAMET_CONDVAR_WINDOW_WORDS 64 /* in which all of one wait lies */
void ramet_condvar_forget_dead(void *const *stack, size_t count);

/* malloc_state.c. The lock of the arena in which a block lies, one from malloc; NULL in the main arena, and where it cannot be found. */
int *ramet_malloc_lock_over(const void *block);

/*
 * With a lock that nobody alive holds: the arena's free memory is lost from then on, its blocks are in nobody's way,
 * and the lock is given back. False, with nothing done, where the arena is not in order or this malloc is not known.
 */
bool ramet_malloc_mend(int *lock);

/* Whether a block is what a thread keeps for itself of small blocks, in a form that has counts which can be wrong. */
bool ramet_malloc_is_cache(uintptr_t block);

/* A thread that takes a block from it tells so twice: the list of these blocks is right, and the count is made so. */
void ramet_malloc_recount(uintptr_t cache);

/* Waits for the lock as malloc does, and gives it back; whether it was to be had until that moment of the monotonic clock. */
bool ramet_malloc_lock_is_had(int *lock, int64_t deadline);

#endif
