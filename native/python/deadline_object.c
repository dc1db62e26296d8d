/* ramet._core.DeadlineThread: the deadline of a child with a memory of its own. */
#include "child_handle.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "deadline_thread.h"

typedef struct {
    PyObject_HEAD
    struct ramet_deadline_thread *deadline_thread; /* NULL: it was sent away, as its child had ended before */
    int maker; /* a copy of the process has not the thread */
    bool watches;
} DeadlineThreadObject;

static PyObject *deadline_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    int error;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":DeadlineThread", names))
        return NULL;
    DeadlineThreadObject *self = (DeadlineThreadObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->maker = getpid();
    self->deadline_thread = ramet_deadline_thread_start(&error);
    if (self->deadline_thread != NULL)
        return (PyObject *)self;
    Py_DECREF(self);
    return core_raise_no_helper(-error, "deadline thread");
}

static void deadline_dealloc(DeadlineThreadObject *self)
{
    if (self->deadline_thread != NULL)
        ramet_deadline_thread_release(self->deadline_thread);
    Py_TYPE(self)->tp_free(self);
}

/*
 * Where SIGCHLD is ignored the kernel reaps a child as it ends, before a pidfd is opened that did not come with it. EINVAL
 * is the same, for one that is reaped while the kernel looks for it.
 */
static bool has_ended_before(int error)
{
    return error == -ESRCH || error == -EINVAL;
}

static PyObject *watch_nobody(DeadlineThreadObject *self)
{
    ramet_deadline_thread_release(self->deadline_thread);
    self->deadline_thread = NULL;
    Py_RETURN_NONE;
}

/* The errno alone, of a filter's, would say nothing of what is missing. */
static PyObject *raise_no_pidfd(int number)
{
    static const char format[] = "timeout= needs a pidfd of the child, and pidfd_open(2) failed: %s";
    PyObject *text = PyUnicode_FromFormat(format, strerror(number));
    PyObject *error = text == NULL ? NULL : PyObject_CallFunction(PyExc_OSError, "iO", number, text);
    if (error != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    Py_XDECREF(text);
    return NULL;
}

static PyObject *deadline_watch(DeadlineThreadObject *self, PyObject *args)
{
    HandleObject *child;
    PyObject *seconds;
    if (!PyArg_ParseTuple(args, "O!O:watch", &Handle_Type, &child, &seconds))
        return NULL;
    int64_t timeout = core_timeout(seconds);
    if (timeout == -2)
        return NULL;
    if (self->watches || self->deadline_thread == NULL || self->maker != getpid())
        return core_raise_invalid(PyExc_ValueError, "DeadlineThread", "a new one of this process, without a child", (PyObject *)self);
    int pidfd = core_handle_copied_pidfd(child);
    if (has_ended_before(pidfd))
        return watch_nobody(self);
    if (pidfd < 0)
        return raise_no_pidfd(-pidfd);
    self->watches = true;
    ramet_deadline_thread_watch(self->deadline_thread, child->pid, pidfd, timeout < 0 ? INT64_MAX / 2 : timeout);
    Py_RETURN_NONE;
}

static PyObject *deadline_has_killed(DeadlineThreadObject *self, PyObject *unused)
{
    bool killed;
    (void)unused;
    if (!self->watches || self->maker != getpid())
        Py_RETURN_FALSE;
    Py_BEGIN_ALLOW_THREADS
    killed = ramet_deadline_thread_has_killed(self->deadline_thread);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(killed);
}

static PyMethodDef deadline_methods[] = {
    {"has_killed", (PyCFunction)deadline_has_killed, METH_NOARGS,
     "has_killed($self, /)\n--\n\nWhether it has killed its child, which has ended; waits until the thread is through."},
    {"watch", (PyCFunction)deadline_watch, METH_VARARGS,
     "watch($self, child, timeout, /)\n--\n\nKills the child of that Handle after so many seconds, unless it has ended."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject DeadlineThread_Type = {
    CORE_TYPE("DeadlineThread", DeadlineThreadObject, 0),
    .tp_doc = "DeadlineThread()\n--\n\nA thread that kills a child at its deadline, there before the child is.",
    .tp_new = deadline_new,
    .tp_dealloc = (destructor)deadline_dealloc,
    .tp_methods = deadline_methods,
};
