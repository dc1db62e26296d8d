/*
 * ramet._core.HotPages: the pages of a template that calls write to, so that a spare can have copied them before its call.
 *
 * Which those are is learned from some spares: a page that the child alone maps after its call, and not before, was
 * copied; one of a library's code that is mapped then and was not before was needed. They note it in memory that the
 * template and all its clones share. So those in a sandbox have none: what a call could write there, others could read.
 */
#define _GNU_SOURCE
#include "hot_pages.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "channel.h"
#include "own_pages.h"
#include "populate.h"

#define MOST_RANGES 4096
#define MOST_PAGES (1 << 19) /* which are looked at: 2 GB */
#define WORD_BITS 64
#define AT_ONCE 512 /* entries that are read */

struct range {
    uintptr_t start;
    size_t first, pages; /* the number of its first page among all */
    bool writable;
};

typedef struct {
    PyObject_HEAD
    struct range ranges[MOST_RANGES];
    size_t range_count, page_count;
    uint64_t *noted;  /* a bit for each page */
    uint64_t *before; /* of this process's own, before the call; NULL: it does not look */
} HotPagesObject;

static size_t words_of(const HotPagesObject *self)
{
    return (self->page_count + WORD_BITS - 1) / WORD_BITS;
}

static size_t noted_bytes(const HotPagesObject *self)
{
    return (words_of(self) + 1) * sizeof *self->noted;
}

static void add_range(HotPagesObject *self, uintptr_t start, uintptr_t end, bool writable)
{
    size_t pages = (end - start) / CORE_PAGE;
    if (self->range_count == MOST_RANGES || self->page_count + pages > MOST_PAGES)
        return;
    self->ranges[self->range_count++] = (struct range){start, self->page_count, pages, writable};
    self->page_count += pages;
}

static void find_writable(void *self, uintptr_t start, uintptr_t end, bool writable)
{
    if (writable)
        add_range(self, start, end, true);
}

static void find_readable(void *self, uintptr_t start, uintptr_t end, bool writable)
{
    if (!writable)
        add_range(self, start, end, false);
}

static PyObject *hot_pages_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) > 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0))
        return PyErr_Format(PyExc_TypeError, "HotPages() takes no arguments");
    HotPagesObject *self = (HotPagesObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    core_find_populate(); /* here, once for all clones */
    core_private_mappings(find_writable, self); /* what a fork has a copy of */
    core_private_mappings(find_readable, self); /* then, as far as there is room, what is mapped anew in it: of files */
    self->noted = mmap(NULL, noted_bytes(self), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (self->noted != MAP_FAILED)
        return (PyObject *)self;
    self->noted = NULL;
    PyErr_SetFromErrno(PyExc_OSError);
    Py_DECREF(self);
    return NULL;
}

/* From here on there are none, and no memory that clones share. */
static PyObject *hot_pages_forget(HotPagesObject *self, PyObject *unused)
{
    (void)unused;
    if (self->noted != NULL)
        munmap(self->noted, noted_bytes(self));
    self->noted = NULL;
    self->range_count = self->page_count = 0;
    Py_RETURN_NONE;
}

static void hot_pages_dealloc(HotPagesObject *self)
{
    if (self->noted != NULL)
        munmap(self->noted, noted_bytes(self));
    PyMem_Free(self->before);
    Py_TYPE(self)->tp_free(self);
}

/* ---- in a spare that looks what its call copies */

typedef void found_page(HotPagesObject *self, size_t page);

static void keep(HotPagesObject *self, size_t page)
{
    self->before[page / WORD_BITS] |= UINT64_C(1) << page % WORD_BITS;
}

static void note(HotPagesObject *self, size_t page)
{
    uint64_t bit = UINT64_C(1) << page % WORD_BITS;
    if ((self->before[page / WORD_BITS] & bit) == 0)
        __atomic_fetch_or(&self->noted[page / WORD_BITS], bit, __ATOMIC_RELAXED);
}

static bool is_own(const struct range *range, uint64_t entry)
{
    return range->writable ? core_is_own_page(entry) : (entry & CORE_PRESENT) != 0;
}

static void look_at_range(HotPagesObject *self, int pagemap, const struct range *range, found_page *found)
{
    uint64_t entries[AT_ONCE];
    size_t done = 0;
    while (done < range->pages) {
        size_t wanted = range->pages - done < AT_ONCE ? range->pages - done : AT_ONCE;
        size_t count = core_read_pagemap(pagemap, range->start + done * CORE_PAGE, entries, wanted);
        if (count == 0)
            return;
        for (size_t i = 0; i < count; i++)
            if (is_own(range, entries[i]))
                found(self, range->first + done + i);
        done += count;
    }
}

/* Where the kernel shows no pages, there are none. */
static void look(HotPagesObject *self, found_page *found)
{
    int pagemap = core_open_pagemap();
    if (pagemap < 0)
        return;
    for (size_t i = 0; i < self->range_count; i++)
        look_at_range(self, pagemap, &self->ranges[i], found);
    close(pagemap);
}

static bool look_before(HotPagesObject *self)
{
    if (self->before == NULL)
        self->before = PyMem_Calloc(words_of(self) + 1, sizeof *self->before);
    if (self->before == NULL)
        return PyErr_NoMemory() != NULL;
    look(self, keep);
    return true;
}

static PyObject *hot_pages_look(HotPagesObject *self, PyObject *unused)
{
    (void)unused;
    return look_before(self) ? Py_NewRef(Py_None) : NULL;
}

static PyObject *hot_pages_note(HotPagesObject *self, PyObject *unused)
{
    (void)unused;
    if (self->before != NULL)
        look(self, note);
    Py_RETURN_NONE;
}

/* ---- in any other spare */

static long pages_copied(void)
{
    struct rusage used;
    getrusage(RUSAGE_THREAD, &used);
    return used.ru_minflt;
}

/* How many of them are in memory already, from the first on: no call has to wait for a disk that reads others ahead. */
static size_t resident(uintptr_t start, size_t pages)
{
    unsigned char is_resident[CORE_MOST_POPULATED];
    size_t count = 0;
    if (mincore((void *)start, pages * CORE_PAGE, is_resident) < 0)
        return 0;
    while (count < pages && (is_resident[count] & 1) != 0)
        count++;
    return count;
}

/* The range in which a page lies; they are in the order of the pages' numbers. */
static const struct range *range_of(const HotPagesObject *self, size_t page)
{
    size_t low = 0, high = self->range_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (self->ranges[middle].first <= page)
            low = middle;
        else
            high = middle;
    }
    return &self->ranges[low];
}

/*
 * What is mapped there may be another by now: a template loads modules that its later calls need, and a warm-up does
 * whatever it does.
 */
static void copy_pages(const struct range *range, size_t page, size_t pages)
{
    uintptr_t start = range->start + (page - range->first) * CORE_PAGE;
    if (pages > 0 && !range->writable)
        pages = resident(start, pages);
    if (pages > 0)
        core_populate(start, pages, range->writable);
}

static bool is_noted(const HotPagesObject *self, size_t page)
{
    return (self->noted[page / WORD_BITS] >> page % WORD_BITS & 1) != 0;
}

/* How many follow each other in one range, from this one on. */
static size_t noted_in_a_row(const HotPagesObject *self, const struct range *range, size_t page, size_t end)
{
    size_t next = page, end_of_range = range->first + range->pages;
    while (next < end && next < end_of_range && is_noted(self, next))
        next++;
    return next - page;
}

static void copy_pages_of_word(const HotPagesObject *self, size_t index)
{
    size_t page = index * WORD_BITS, end = page + WORD_BITS < self->page_count ? page + WORD_BITS : self->page_count;
    while (page < end) {
        const struct range *range = range_of(self, page);
        size_t pages = noted_in_a_row(self, range, page, end);
        copy_pages(range, page, pages);
        page += pages > 0 ? pages : 1;
    }
}

/* No more than so many bytes of its own come from that, and the pages of one word. */
static void copy_noted(const HotPagesObject *self, long bytes, int calls)
{
    long before = pages_copied();
    for (size_t i = 0; i < words_of(self); i++) {
        if (self->noted[i] == 0)
            continue;
        if (pages_copied() - before >= bytes / (long)CORE_PAGE || core_is_readable(calls))
            break; /* a call that is there does better without more */
        copy_pages_of_word(self, i);
    }
}

static PyObject *hot_pages_copy(HotPagesObject *self, PyObject *args)
{
    long bytes;
    int calls;
    if (!PyArg_ParseTuple(args, "li:copy", &bytes, &calls))
        return NULL;
    copy_noted(self, bytes, calls);
    Py_RETURN_NONE;
}

bool core_take_hot_pages(PyObject *hot_pages, bool looks, long most_bytes, int calls)
{
    HotPagesObject *self = (HotPagesObject *)hot_pages;
    if (looks)
        return look_before(self);
    copy_noted(self, most_bytes, calls);
    return true;
}

static PyMethodDef hot_pages_methods[] = {
    {"look", (PyCFunction)hot_pages_look, METH_NOARGS, "look($self, /)\n--\n\nBefore a call: looks which pages are copied already."},
    {"note", (PyCFunction)hot_pages_note, METH_NOARGS,
     "note($self, /)\n--\n\nAfter the call: notes which others are by now; does nothing when this has not looked before."},
    {"copy", (PyCFunction)hot_pages_copy, METH_VARARGS,
     "copy($self, most_bytes, calls, /)\n--\n\n"
     "Copies the pages that were noted, so that they are this process's own; until something can be read from calls, a descriptor."},
    {"forget", (PyCFunction)hot_pages_forget, METH_NOARGS,
     "forget($self, /)\n--\n\nUnmaps the notes: from here on this process has no pages that it knows."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject HotPages_Type = {
    CORE_TYPE("HotPages", HotPagesObject, 0),
    .tp_doc = "HotPages()\n--\n\nThe pages of this process, of which its clones note which they copied.",
    .tp_new = hot_pages_new,
    .tp_dealloc = (destructor)hot_pages_dealloc,
    .tp_methods = hot_pages_methods,
};
