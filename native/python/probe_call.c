/*
 * Requests put to the kernel as they are, right or wrong, to hold the law against its answers. Their
 * children make raw calls only and lie on a stack in the page that they share with their parent.
 */
#include "core.h"

#include <errno.h>
#include <linux/sched.h>

#include "futex.h"

#define ARRIVAL_NANOSECONDS 10000000000 /* a child that does not come by then was stopped on its way */

/* The trial in a buffer that both sides share, NULL with an exception set when it does not fit. */
static struct ramet_probe *trial_in(const Py_buffer *page, Py_ssize_t offset)
{
    if (page->len < (Py_ssize_t)sizeof(struct ramet_probe) || offset < 0 || offset % (Py_ssize_t)sizeof(int) != 0 ||
        offset > page->len - (Py_ssize_t)sizeof(struct ramet_probe)) {
        PyErr_Format(PyExc_ValueError, "invalid offset: expected a multiple of %zu with %zu bytes behind it, got %zd of %zd", sizeof(int),
                     sizeof(struct ramet_probe), offset, page->len);
        return NULL;
    }
    return (struct ramet_probe *)((char *)page->buf + offset);
}

static long make(void *args, size_t size, bool legacy, struct ramet_probe *trial)
{
    struct ramet_entry entry = {ramet_run_probe, trial, NULL, NULL, __NR_exit};
    if (!legacy)
        return ramet_clone3_call(args, size, &entry);
    const struct ramet_clone_args *given = args;
    return ramet_clone_call((unsigned long)(given->flags | given->exit_signal), (void *)(uintptr_t)given->stack,
                            (int *)(uintptr_t)given->parent_tid, (int *)(uintptr_t)given->child_tid,
                            (unsigned long)given->tls, &entry);
}

static long begin(void *args, size_t size, bool legacy, struct ramet_probe *trial, bool stays)
{
    *trial = (struct ramet_probe){.open = !stays};
    ramet_sigset mask = ramet_block_signals();
    long pid = make(args, size, legacy, trial);
    if (pid > 0 && ramet_futex_wait_while(&trial->arrived, 0, ARRIVAL_NANOSECONDS) == -ETIMEDOUT)
        __atomic_store_n(&trial->open, 1, __ATOMIC_RELEASE);
    ramet_set_signal_mask(mask);
    return pid;
}

/* args is the structure as bytes, or an address. The bytes are copied: the kernel is told `size`, which may be larger. */
static bool read_structure(PyObject *args, Py_ssize_t size, bool legacy, char **copy, void **structure)
{
    *copy = NULL;
    if (PyLong_Check(args)) {
        *structure = PyLong_AsVoidPtr(args);
        if (legacy)
            core_raise_invalid(PyExc_ValueError, "args", "the structure as bytes, as clone() takes no address", args);
        return !PyErr_Occurred();
    }
    char *bytes;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(args, &bytes, &length) < 0)
        return false;
    Py_ssize_t room = length > size ? length : size;
    if (room < (Py_ssize_t)sizeof(struct ramet_clone_args))
        room = sizeof(struct ramet_clone_args);
    *copy = PyMem_RawCalloc(1, (size_t)room);
    if (*copy == NULL) {
        PyErr_NoMemory();
        return false;
    }
    memcpy(*copy, bytes, (size_t)length);
    *structure = *copy;
    return true;
}

PyObject *core_trial_begin(PyObject *module, PyObject *args)
{
    PyObject *given;
    Py_ssize_t size, offset;
    int legacy, stays;
    Py_buffer page;
    (void)module;
    if (!PyArg_ParseTuple(args, "Onpw*np:trial_begin", &given, &size, &legacy, &page, &offset, &stays))
        return NULL;
    PyObject *result = NULL;
    char *copy = NULL;
    void *structure;
    struct ramet_probe *trial = trial_in(&page, offset);
    if (trial != NULL && read_structure(given, size, legacy, &copy, &structure))
        result = PyLong_FromLong(begin(structure, (size_t)size, legacy, trial, stays));
    PyMem_RawFree(copy);
    PyBuffer_Release(&page);
    return result;
}

PyObject *core_trial_end(PyObject *module, PyObject *args)
{
    Py_ssize_t offset;
    Py_buffer page;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*n:trial_end", &page, &offset))
        return NULL;
    struct ramet_probe *trial = trial_in(&page, offset);
    if (trial != NULL) {
        __atomic_store_n(&trial->open, 1, __ATOMIC_RELEASE);
        ramet_futex_wake(&trial->open);
    }
    PyBuffer_Release(&page);
    if (trial == NULL)
        return NULL;
    Py_RETURN_NONE;
}
