/* The private memory of this process, as /proc shows it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CORE_PAGE ((uintptr_t)4096)

/* Bits of an entry of /proc/self/pagemap. Source: Documentation/admin-guide/mm/pagemap.rst */
#define CORE_PRESENT (UINT64_C(1) << 63)
#define CORE_OF_FILE (UINT64_C(1) << 61)
#define CORE_MAPPED_HERE_ALONE (UINT64_C(1) << 56)

typedef void core_found_mapping(void *context, uintptr_t start, uintptr_t end, bool writable);

/* Calls it for each private mapping that can be read, of files as well, but none of the kernel's; for none without /proc. */
void core_private_mappings(core_found_mapping *found, void *context);

/* A descriptor of /proc/self/pagemap, or -1. */
int core_open_pagemap(void);

/* Reads the entries of so many pages; so many as there are, none where it fails. */
size_t core_read_pagemap(int pagemap, uintptr_t start, uint64_t *entries, size_t count);

/* An anonymous page that no other process has. */
static inline bool core_is_own_page(uint64_t entry)
{
    return (entry & (CORE_PRESENT | CORE_OF_FILE | CORE_MAPPED_HERE_ALONE)) == (CORE_PRESENT | CORE_MAPPED_HERE_ALONE);
}
