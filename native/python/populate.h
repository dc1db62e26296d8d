/* Pages of this process, as if they were written to or read: see populate.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CORE_MOST_POPULATED 64 /* pages at once */

/* Finds out by which system call, for this process and those that are forked by it. */
void core_find_populate(void);

/*
 * So many pages from start on, as if something were written to them or read; what they hold stays. Of those that lie in no
 * memory any more, or in some that may not be written to or read, nothing is done, nor of what comes after them.
 */
void core_populate(uintptr_t start, size_t pages, bool writes);
