/* wait_any(): the first of many children to end. */
#include "child_handle.h"

#include <poll.h>
#include <unistd.h>

static HandleObject *handle_of(PyObject *awaited)
{
    return PyObject_TypeCheck(awaited, &Handle_Type) ? (HandleObject *)awaited : NULL;
}

/* A descriptor is another's to close. So is, in a child that shares the memory, the pidfd of its maker's child. */
static bool may_be_closed(const HandleObject *self)
{
    return self != NULL && self->maker == getpid();
}

/* -1 with an exception set, or the number of those that are entered. */
static Py_ssize_t enter_all(PyObject *awaited, struct pollfd *polled)
{
    Py_ssize_t count = PyTuple_GET_SIZE(awaited);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *one = PyTuple_GET_ITEM(awaited, i);
        const HandleObject *handle = handle_of(one);
        int descriptor = handle == NULL ? (int)PyLong_AsLong(one) : handle->pidfd;
        if (handle == NULL && descriptor == -1 && PyErr_Occurred())
            return -1;
        polled[i] = (struct pollfd){.fd = descriptor, .events = POLLIN};
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (may_be_closed(handle_of(PyTuple_GET_ITEM(awaited, i))))
            core_handle_enter(handle_of(PyTuple_GET_ITEM(awaited, i)));
    return count;
}

static void leave_all(PyObject *awaited)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(awaited); i++)
        if (may_be_closed(handle_of(PyTuple_GET_ITEM(awaited, i))))
            core_handle_leave(handle_of(PyTuple_GET_ITEM(awaited, i)));
}

static bool has_let_go(PyObject *awaited)
{
    const HandleObject *handle = handle_of(awaited);
    return handle != NULL && handle->let_go;
}

static bool any_has_let_go(PyObject *awaited)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(awaited); i++)
        if (has_let_go(PyTuple_GET_ITEM(awaited, i)))
            return true;
    return false;
}

static PyObject *ended_of(PyObject *awaited, const struct pollfd *polled)
{
    PyObject *ended = PySet_New(NULL);
    for (Py_ssize_t i = 0; ended != NULL && i < PyTuple_GET_SIZE(awaited); i++) {
        PyObject *one = PyTuple_GET_ITEM(awaited, i);
        if ((polled[i].revents != 0 || has_let_go(one)) && PySet_Add(ended, one) < 0)
            Py_CLEAR(ended);
    }
    return ended;
}

/* No number is read that another thread may close before it is polled: what stands for it then has no end to wait for. */
static PyObject *first_of(PyObject *awaited, struct pollfd *polled, int64_t deadline)
{
    Py_ssize_t count = enter_all(awaited, polled);
    if (count < 0)
        return NULL;
    int answer = core_poll_all_until(polled, (unsigned long)count, any_has_let_go(awaited) ? 0 : deadline);
    PyObject *ended = answer < 0 ? NULL : ended_of(awaited, polled);
    leave_all(awaited);
    return ended;
}

PyObject *core_wait_any(PyObject *module, PyObject *args)
{
    PyObject *awaited, *seconds;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O:wait_any", &PyTuple_Type, &awaited, &seconds))
        return NULL;
    int64_t deadline = core_deadline(seconds);
    if (deadline == -2)
        return NULL;
    struct pollfd *polled = PyMem_New(struct pollfd, PyTuple_GET_SIZE(awaited) + 1);
    if (polled == NULL)
        return PyErr_NoMemory();
    PyObject *ended = first_of(awaited, polled, deadline);
    PyMem_Free(polled);
    return ended;
}
