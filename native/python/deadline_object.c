/* ramet._core.Watchdog: the deadline of a child with a memory of its own. */
#include "handle.h"

#include <unistd.h>

#include "deadline_thread.h"

typedef struct {
    PyObject_HEAD
    struct ramet_watchdog *watchdog;
    int maker; /* a copy of the process has not the thread */
    bool watches;
} WatchdogObject;

static PyObject *watchdog_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    int error;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Watchdog", names))
        return NULL;
    WatchdogObject *self = (WatchdogObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->maker = getpid();
    self->watchdog = ramet_watchdog_start(&error);
    if (self->watchdog != NULL)
        return (PyObject *)self;
    Py_DECREF(self);
    return core_raise_no_helper(-error, "watchdog");
}

static void watchdog_dealloc(WatchdogObject *self)
{
    if (self->watchdog != NULL)
        ramet_watchdog_release(self->watchdog);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *watchdog_watch(WatchdogObject *self, PyObject *args)
{
    HandleObject *child;
    PyObject *seconds;
    if (!PyArg_ParseTuple(args, "O!O:watch", &Handle_Type, &child, &seconds))
        return NULL;
    int64_t timeout = core_timeout(seconds);
    if (timeout == -2)
        return NULL;
    if (self->watches || self->maker != getpid())
        return PyErr_Format(PyExc_ValueError, "it watches a child already, or is another process's");
    int pidfd = core_handle_copied_pidfd(child);
    if (pidfd < 0)
        return core_raise_errno(pidfd);
    self->watches = true;
    ramet_watchdog_watch(self->watchdog, pidfd, timeout < 0 ? INT64_MAX / 2 : timeout);
    Py_RETURN_NONE;
}

static PyObject *watchdog_has_killed(WatchdogObject *self, PyObject *unused)
{
    bool killed;
    (void)unused;
    if (!self->watches || self->maker != getpid())
        Py_RETURN_FALSE;
    Py_BEGIN_ALLOW_THREADS
    killed = ramet_watchdog_has_killed(self->watchdog);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(killed);
}

static PyMethodDef watchdog_methods[] = {
    {"has_killed", (PyCFunction)watchdog_has_killed, METH_NOARGS,
     "has_killed($self, /)\n--\n\nWhether it has killed its child, which has ended; waits until the thread is through."},
    {"watch", (PyCFunction)watchdog_watch, METH_VARARGS,
     "watch($self, child, timeout, /)\n--\n\nKills the child of that Handle after so many seconds, unless it has ended."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Watchdog_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ramet._core.Watchdog",
    .tp_basicsize = sizeof(WatchdogObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Watchdog()\n--\n\nA thread that kills a child at its deadline, there before the child is.",
    .tp_new = watchdog_new,
    .tp_dealloc = (destructor)watchdog_dealloc,
    .tp_methods = watchdog_methods,
};
