/*
 * glibc's malloc, from the inside: an arena whose lock died with its holder is put in order and given
 * back. Whoever frees what lies there, or takes all locks to fork, would wait for ever: since glibc
 * 2.43 for the smallest block, too.
 */
#ifndef RAMET_MALLOC_STATE_H
#define RAMET_MALLOC_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* The lock of the arena in which a block lies, one from malloc; NULL in the main arena, and where it cannot be found. */
int *ramet_malloc_lock_over(const void *block);

/*
 * With a lock that nobody alive holds: the arena's free memory is lost from then on, its blocks are in
 * nobody's way, and the lock is given back. False, with nothing done, where the arena is not in order
 * or this malloc is not known.
 */
bool ramet_malloc_mend(int *lock);

/* Whether a block is what a thread keeps for itself of small blocks, in a form that has counts which can be wrong. */
bool ramet_malloc_is_cache(uintptr_t block);

/* Who takes a block from it tells so twice: the list of these blocks is right, and the count is made so. */
void ramet_malloc_recount(uintptr_t cache);

/* Waits for the lock as malloc does, and gives it back; whether it was to be had until that moment of the monotonic clock. */
bool ramet_malloc_lock_is_had(int *lock, int64_t deadline);

#endif
