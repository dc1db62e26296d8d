/*
 * Pages of this process, as if they were written to or read, by system calls that tell of a page that cannot be: an access
 * to it would be SIGSEGV or SIGBUS. For many pages it costs less as well, since none of them is a fault of the processor.
 */
#define _GNU_SOURCE
#include "populate.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "own_pages.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

static bool is_known; /* that advice, to the kernel */

void core_find_populate(void)
{
    char page; /* that can be read: of one that cannot be, EINVAL says that it is not known as well */
    is_known = madvise((void *)((uintptr_t)&page & ~(CORE_PAGE - 1)), CORE_PAGE, MADV_POPULATE_READ) == 0;
}

/* A byte of each page is copied by the kernel: onto itself, or from it. */
static void copy_a_byte_of_each(uintptr_t start, size_t pages, bool writes)
{
    struct iovec bytes[CORE_MOST_POPULATED];
    char read[CORE_MOST_POPULATED];
    for (size_t i = 0; i < pages; i++)
        bytes[i] = (struct iovec){(void *)(start + i * CORE_PAGE), 1};
    if (writes)
        process_vm_writev(getpid(), bytes, pages, bytes, pages, 0);
    else
        process_vm_readv(getpid(), &(struct iovec){read, pages}, 1, bytes, pages, 0);
}

void core_populate(uintptr_t start, size_t pages, bool writes)
{
    if (is_known)
        madvise((void *)start, pages * CORE_PAGE, writes ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    else
        copy_a_byte_of_each(start, pages, writes);
}
