/* Reading the memory of a tracee: process_vm_readv(2), page by page, since it leaves out a piece that it cannot read whole. */
#define _GNU_SOURCE
#include "tracee_memory.h"

#include <string.h>
#include <sys/uio.h>

#define SMALLEST_PAGE 4096
#define PAGES_AT_ONCE 16

static size_t up_to_page_end(uint64_t address, size_t size)
{
    const size_t left = SMALLEST_PAGE - address % SMALLEST_PAGE;
    return size < left ? size : left;
}

static size_t read_pages(int tid, uint64_t address, char *to, size_t size)
{
    struct iovec pages[PAGES_AT_ONCE], all = {.iov_base = to};
    unsigned long count = 0;
    for (; count < PAGES_AT_ONCE && size > 0; count++) {
        const size_t part = up_to_page_end(address, size);
        pages[count] = (struct iovec){(void *)(uintptr_t)address, part};
        all.iov_len += part;
        address += part;
        size -= part;
    }
    const ssize_t got = process_vm_readv(tid, &all, 1, pages, count, 0);
    return got < 0 ? 0 : (size_t)got;
}

size_t ramet_tracee_read(int tid, uint64_t address, void *to, size_t size)
{
    size_t done = 0, got = 1;
    while (done < size && got > 0)
        done += got = read_pages(tid, address + done, (char *)to + done, size - done);
    return done;
}

/* Most strings are short, and end before the next page. */
struct ramet_tracee_text ramet_tracee_string(int tid, uint64_t address, char *to, size_t most)
{
    size_t length = 0;
    while (length < most) {
        const size_t wanted = up_to_page_end(address + length, most - length);
        const size_t got = read_pages(tid, address + length, to + length, wanted);
        const char *end = got > 0 ? memchr(to + length, 0, got) : NULL;
        if (end != NULL)
            return (struct ramet_tracee_text){(size_t)(end - to), false};
        length += got;
        if (got < wanted)
            break;
    }
    return (struct ramet_tracee_text){length, true};
}
