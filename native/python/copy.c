/* ramet._core.copy: a function in a child of libc's own fork(), with what most such children need and no more. */
#include <unistd.h>

#include "births.h"
#include "handle.h"
#include "mapping.h"

static long fork_to_deliver(MappingObject *outcome, PyObject *fn, PyObject *args)
{
    long pid = core_fork();
    if (pid == 0)
        _exit(core_mapping_deliver(outcome, fn, args));
    return pid;
}

/* Of a child that has just been born and not been reaped, unless somebody waits for any. -1: none can be had. */
static int opened(long pid)
{
    long pidfd = ramet_syscall2(__NR_pidfd_open, pid, 0);
    return pidfd < 0 ? -1 : (int)pidfd;
}

/* ramet.transfer.prepare(), until it has been done. */
static bool prepare(void)
{
    static bool prepared;
    if (prepared)
        return true;
    PyObject *transfer = PyImport_ImportModule("ramet.transfer");
    PyObject *done = transfer == NULL ? NULL : PyObject_CallMethod(transfer, "prepare", NULL);
    prepared = done == Py_True;
    Py_XDECREF(done);
    Py_XDECREF(transfer);
    return done != NULL;
}

static HandleObject *unborn(PyTypeObject *kind, PyTypeObject *outcome, PyObject *trusted, PyObject *what)
{
    HandleObject *child = core_handle_new(kind);
    if (child == NULL)
        return NULL;
    child->what = Py_NewRef(what);
    child->flags = PyLong_FromLong(0);
    child->plain = true;
    child->outcome = (PyObject *)core_mapping_new(outcome, trusted);
    if (child->flags != NULL && child->outcome != NULL)
        return child;
    Py_DECREF(child);
    return NULL;
}

PyObject *core_copy(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count != 6 || !PyType_Check(args[0]) || !PyType_IsSubtype((PyTypeObject *)args[0], &Handle_Type) ||
        !PyType_Check(args[1]) || !PyType_IsSubtype((PyTypeObject *)args[1], &Mapping_Type) || !PyTuple_Check(args[5]))
        return PyErr_Format(PyExc_TypeError, "copy(kind, outcome, trusted, what, fn, args)");
    HandleObject *child = core_may_copy() && prepare() ? unborn((PyTypeObject *)args[0], (PyTypeObject *)args[1], args[2], args[3]) : NULL;
    if (child == NULL)
        return NULL;
    MappingObject *outcome = (MappingObject *)child->outcome;
    /* What is buffered now would be written by both. */
    long pid = core_flush_standard_streams() < 0 ? 0 : fork_to_deliver(outcome, args[4], args[5]);
    if (pid > 0) {
        core_handle_hold(child, pid, opened(pid));
        core_mapping_keep_from_others(outcome);
        return (PyObject *)child;
    }
    Py_DECREF(child);
    return pid < 0 ? core_raise_errno(pid) : NULL;
}
