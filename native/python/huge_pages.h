/* Mappings that can consist of huge pages: those begin at a multiple of their size. */
#pragma once

#include <stddef.h>

#define CORE_HUGE_PAGE ((size_t)2 << 20)

/* mmap(2) of a file's first bytes, for reading and writing, with MAP_PRIVATE or MAP_SHARED. MAP_FAILED with errno set. */
void *core_map_file(int descriptor, size_t size, int sharing);

/* Anonymous memory that begins at such a multiple. NULL: there is none. */
char *core_reserve_huge(size_t size, int protection);
