/*
 * Memory that others write to, which a confined process has from who made it: something of its own is put in its place, at
 * the same address.
 */
#define _GNU_SOURCE
#include "core.h"

#include <sys/mman.h>
#include <unistd.h>

#define LOOKED_AT 256 /* pages at a time */

/* Of the pages from there on, how many are in memory, or are not, as the first: what is not there may be a hole. */
static size_t alike(uintptr_t start, size_t size, size_t page, bool *present)
{
    unsigned char seen[LOOKED_AT];
    size_t pages = size / page < LOOKED_AT ? size / page : LOOKED_AT, count = 1;
    *present = true;
    if (pages == 0 || mincore((void *)start, pages * page, seen) < 0)
        return size;
    *present = (seen[0] & 1) != 0;
    while (count < pages && (seen[count] & 1) == (seen[0] & 1))
        count++;
    return count * page;
}

/*
 * Copies so many bytes from that address on; what cannot be read stays as it is. Where it may have holes, that alone which
 * is in memory: to read a hole would fill it. False with errno.
 */
static bool copy(int descriptor, uintptr_t start, size_t size, bool holes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < size;) {
        bool present = true;
        const size_t length = holes ? alike(start + at, size - at, page, &present) : size - at;
        ssize_t written = present ? pwrite(descriptor, (const void *)(start + at), length, (off_t)at) : (ssize_t)length;
        if (written > 0)
            at += (size_t)written;
        else if (written == 0 || errno == EFAULT) /* the kernel reads it: a page that is not there is no signal */
            at = (at / page + 1) * page;
        else if (errno != EINTR)
            return false;
    }
    return true;
}

PyObject *core_copy_memory(PyObject *module, PyObject *args)
{
    int descriptor, holes;
    unsigned long long start, size;
    bool copied;
    (void)module;
    if (!PyArg_ParseTuple(args, "iKKp:copy_memory", &descriptor, &start, &size, &holes))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    copied = copy(descriptor, (uintptr_t)start, (size_t)size, holes != 0);
    Py_END_ALLOW_THREADS
    if (!copied)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

PyObject *core_replace_mapping(PyObject *module, PyObject *args)
{
    int descriptor, protection;
    unsigned long long start, size, offset;
    (void)module;
    if (!PyArg_ParseTuple(args, "KKiiK:replace_mapping", &start, &size, &protection, &descriptor, &offset))
        return NULL;
    const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | (descriptor < 0 ? MAP_ANONYMOUS : 0);
    void *place = (void *)(uintptr_t)start;
    if (mmap(place, (size_t)size, protection, flags, descriptor, (off_t)offset) == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}
