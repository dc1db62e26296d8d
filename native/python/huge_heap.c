/*
 * ramet._core.gather_objects and make_huge: the heap of a process in huge pages. A clone copies an entry of the page table
 * for each page that the process has written to; a huge page has one where its 512 parts have 512. A write to a huge page
 * that is shared still copies 4 KiB: the kernel splits the mapping, in the process that writes.
 *
 * Python's small objects lie in arenas of 1 MiB, each from an mmap(2) of its own, which seldom begin at a multiple of a
 * huge page. So they are gathered first: one after the other, in areas that do.
 */
#define _GNU_SOURCE
#include "core.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "huge_pages.h"
#include "own_pages.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define PAGES_OF_HUGE (CORE_HUGE_PAGE / CORE_PAGE)
#define LEAST_OWN (PAGES_OF_HUGE / 2) /* a huge page has all of them: no memory may grow to more than twice of what it was */
#define LEAST_AREA ((size_t)8 << 20)
#define LARGEST_AREA ((size_t)64 << 20) /* what is not used yet counts for RLIMIT_AS and RLIMIT_DATA */
#define MOST_AREAS 1024

/* ---- arenas */

static struct area {
    char *start, *end;
} areas[MOST_AREAS];
static size_t area_count;
static char *unused; /* of the last area, where the next arena begins */
static bool gathers;
static PyObjectArenaAllocator before; /* what has made the others */
/*
 * Interpreters with locks of their own may ask at once. Who does not get this lock has an arena elsewhere, rather than wait:
 * in a fork that was made meanwhile nobody would give it back.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct area *area_of(const char *arena)
{
    for (size_t i = 0; i < area_count; i++)
        if (areas[i].start <= arena && arena < areas[i].end)
            return &areas[i];
    return NULL;
}

/* Each is twice as large as the one before it, so that there are few. */
static size_t next_size(void)
{
    size_t last = area_count == 0 ? 0 : (size_t)(areas[area_count - 1].end - areas[area_count - 1].start);
    size_t size = 2 * last < LARGEST_AREA ? 2 * last : LARGEST_AREA;
    return size < LEAST_AREA ? LEAST_AREA : size;
}

/* Huge pages at the first write cost less than to collapse small ones later, but a machine's setting may make none. */
static bool add_area(void)
{
    size_t size = next_size();
    char *start = area_count == MOST_AREAS ? NULL : core_reserve_huge(size, PROT_READ | PROT_WRITE);
    if (start == NULL)
        return false;
    madvise(start, size, MADV_HUGEPAGE);
    areas[area_count++] = (struct area){start, start + size};
    unused = start;
    return true;
}

static char *gathered_arena(size_t size)
{
    bool has_room = area_count > 0 && size <= (size_t)(areas[area_count - 1].end - unused);
    if (!has_room && (size > LEAST_AREA || !add_area()))
        return NULL;
    unused += size;
    return unused - size;
}

static void *allocate_arena(void *context, size_t size)
{
    char *arena = NULL;
    (void)context;
    if (gathers && pthread_mutex_trylock(&lock) == 0) {
        arena = gathered_arena(size);
        pthread_mutex_unlock(&lock);
    }
    return arena != NULL ? arena : before.alloc(before.ctx, size);
}

static void free_arena(void *context, void *arena, size_t size)
{
    (void)context;
    if (area_of(arena) == NULL) /* Python's own are from mmap(2), too, and may lie in the hole that one of ours has left */
        before.free(before.ctx, arena, size);
    else
        munmap(arena, size);
}

/* What is left of the last area goes; its end is where the last arena ends. */
static void give_back_unused(void)
{
    if (area_count == 0)
        return;
    struct area *last = &areas[area_count - 1];
    if (unused < last->end)
        munmap(unused, (size_t)(last->end - unused));
    last->end = unused;
}

/* A template's; no other thread makes objects as it begins and ends. */
PyObject *core_gather_objects(PyObject *module, PyObject *wanted)
{
    (void)module;
    if (before.alloc == NULL) {
        PyObjectArenaAllocator gathering = {NULL, allocate_arena, free_arena};
        PyObject_GetArenaAllocator(&before);
        PyObject_SetArenaAllocator(&gathering);
    }
    gathers = wanted == Py_True;
    if (!gathers)
        give_back_unused();
    Py_RETURN_NONE;
}

/* ---- huge pages */

struct collapsing {
    int pagemap;
    size_t bytes; /* that are in huge pages by now */
};

static bool is_worth_it(int pagemap, uintptr_t start)
{
    uint64_t entries[PAGES_OF_HUGE];
    size_t count = core_read_pagemap(pagemap, start, entries, PAGES_OF_HUGE), own = 0;
    for (size_t i = 0; i < count; i++)
        own += core_is_own_page(entries[i]);
    return own >= LEAST_OWN;
}

/* One call for many: each waits for all processors. What the kernel has no memory in one piece for stays as it is. */
static void collapse(struct collapsing *self, uintptr_t start, uintptr_t end)
{
    if (start < end && madvise((void *)start, end - start, MADV_COLLAPSE) == 0)
        self->bytes += end - start;
}

/* Parts of it that have few pages of their own stay as they are; so do those that another process has, which would be copied. */
static void collapse_mapping(void *context, uintptr_t start, uintptr_t end, bool writable)
{
    struct collapsing *self = context;
    uintptr_t at = (start + CORE_HUGE_PAGE - 1) / CORE_HUGE_PAGE * CORE_HUGE_PAGE, begun = at;
    if (!writable)
        return;
    for (; at + CORE_HUGE_PAGE <= end; at += CORE_HUGE_PAGE) {
        if (is_worth_it(self->pagemap, at))
            continue;
        collapse(self, begun, at);
        begun = at + CORE_HUGE_PAGE;
    }
    collapse(self, begun, at);
}

PyObject *core_make_huge(PyObject *module, PyObject *unused_argument)
{
    struct collapsing self = {sysconf(_SC_PAGESIZE) == (long)CORE_PAGE ? core_open_pagemap() : -1, 0};
    (void)module, (void)unused_argument;
    if (self.pagemap >= 0) {
        Py_BEGIN_ALLOW_THREADS
        core_private_mappings(collapse_mapping, &self);
        Py_END_ALLOW_THREADS
        close(self.pagemap);
    }
    return PyLong_FromSize_t(self.bytes);
}
