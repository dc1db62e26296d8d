/*
 * ramet._core.fill_memory: a memfd that is filled in huge pages. To write(2) to one costs three times what a memcpy() to
 * fresh memory does, for each page of 4 KiB is made by itself. MADV_COLLAPSE (Linux 6.1) makes huge pages, also where the
 * machine's setting (shmem_enabled) makes none by itself; it asks that each has been touched.
 */
#define _GNU_SOURCE
#include "huge_pages.h"

#include <stdint.h>
#include <sys/mman.h>

#include "core.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define ALIGNMENT 64 /* of each part; messages.py has the same number */

/* What is mapped beyond the size is given back. */
char *core_reserve_huge(size_t size, int protection)
{
    char *room = mmap(NULL, size + CORE_HUGE_PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    size_t before = (size_t)(-(uintptr_t)room % CORE_HUGE_PAGE), page = (size_t)4096;
    size_t end = before + (size + page - 1) / page * page;
    if (before > 0)
        munmap(room, before);
    munmap(room + end, size + CORE_HUGE_PAGE - end);
    return room + before;
}

void *core_map_file(int descriptor, size_t size, int sharing)
{
    char *place = size < CORE_HUGE_PAGE ? NULL : core_reserve_huge(size, PROT_NONE);
    int flags = sharing | MAP_NORESERVE | (place == NULL ? 0 : MAP_FIXED);
    void *start = mmap(place, size, PROT_READ | PROT_WRITE, flags, descriptor, 0);
    if (start == MAP_FAILED && place != NULL)
        munmap(place, size);
    return start;
}

/* Whether all pages are there, most of them huge: no write to them ends in SIGBUS. */
static bool make_huge(char *start, size_t size)
{
    size_t huge = size / CORE_HUGE_PAGE * CORE_HUGE_PAGE;
    if (huge == 0 || madvise(start, 1, MADV_POPULATE_WRITE) < 0)
        return false;
    if (madvise(start, CORE_HUGE_PAGE, MADV_COLLAPSE) < 0) /* the kernel cannot */
        return false;
    for (size_t at = CORE_HUGE_PAGE; at < huge; at += CORE_HUGE_PAGE)
        if (madvise(start + at, 1, MADV_POPULATE_WRITE) < 0)
            return false;
    madvise(start, huge, MADV_COLLAPSE); /* some may fail, for want of huge pages */
    return madvise(start, size, MADV_POPULATE_WRITE) == 0;
}

static bool copy_parts(char *to, const char *end, PyObject *parts)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts); i++) {
        Py_buffer view;
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(parts, i), &view, PyBUF_SIMPLE) < 0)
            return false;
        size_t length = (size_t)view.len;
        bool fits = length <= (size_t)(end - to);
        if (fits)
            memcpy(to, view.buf, length);
        PyBuffer_Release(&view);
        if (!fits) {
            PyErr_SetString(PyExc_ValueError, "invalid size: expected room for all parts");
            return false;
        }
        to += (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return true;
}

PyObject *core_fill_memory(PyObject *module, PyObject *args)
{
    int descriptor;
    Py_ssize_t size;
    PyObject *parts;
    (void)module;
    if (!PyArg_ParseTuple(args, "inO!:fill_memory", &descriptor, &size, &PyTuple_Type, &parts))
        return NULL;
    if (size < (Py_ssize_t)CORE_HUGE_PAGE)
        Py_RETURN_FALSE;
    char *start = core_map_file(descriptor, (size_t)size, MAP_SHARED);
    if (start == MAP_FAILED)
        Py_RETURN_FALSE;
    bool huge, filled;
    Py_BEGIN_ALLOW_THREADS
    huge = make_huge(start, (size_t)size);
    Py_END_ALLOW_THREADS
    filled = huge && copy_parts(start, start + size, parts);
    munmap(start, (size_t)size);
    return huge && !filled ? NULL : PyBool_FromLong(huge);
}
