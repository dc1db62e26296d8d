/* Which memory this is, and whose: a fork begins another one, and a child that shares memory shares its number. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory, which the kernel zeroes in the child of a fork. NULL when there is none, and before Linux 4.14. */
void *ramet_wiped_on_fork(size_t size);

/*
 * The number of this memory: another one in the child of a fork, 0 where the kernel cannot wipe memory (before 4.14).
 * The process that owns the memory must be the first to call this, and not a child that shares it.
 */
uint64_t ramet_epoch(void);

/* Whether the calling process owns this memory. The threads of one that only shares it end before the memory does. */
bool ramet_owns_memory(void);
