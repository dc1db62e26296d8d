/* The private memory of this process, by /proc/self/maps and /proc/self/pagemap. */
#define _GNU_SOURCE
#include "core.h"

#include "own_pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* [vvar], [vdso] and the like: a read of some of their pages is SIGBUS. */
static bool is_kernels(const char *line)
{
    return strstr(line, " [v") != NULL;
}

void core_private_mappings(core_found_mapping *found, void *context)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start, end;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3 && rights[0] == 'r' && rights[3] == 'p' && !is_kernels(line))
            found(context, start, end, rights[1] == 'w');
    }
    if (maps != NULL)
        fclose(maps);
}

int core_open_pagemap(void)
{
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

size_t core_read_pagemap(int pagemap, uintptr_t start, uint64_t *entries, size_t count)
{
    ssize_t got = pread(pagemap, entries, count * sizeof *entries, (off_t)(start / CORE_PAGE * sizeof *entries));
    return got < 0 ? 0 : (size_t)got / sizeof *entries;
}
