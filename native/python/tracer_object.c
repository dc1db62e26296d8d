/* ramet._core.Tracer: a thread of Python's that follows tasks by ptrace, and what it has seen, for another thread. */
#include "core.h"

#include "futex.h"
#include "tracer.h"

typedef struct {
    PyObject_HEAD
    struct ramet_tracer tracer;
} TracerObject;

static PyObject *tracer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"arguments", "argument_bytes", "filtered", "owns", NULL};
    Py_ssize_t arguments, bytes;
    int filtered, owns;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$nnpp:Tracer", names, &arguments, &bytes, &filtered, &owns))
        return NULL;
    if (arguments < 0 || bytes < 0)
        return PyErr_Format(PyExc_ValueError, "invalid limits: expected 0 or more, got %zd, %zd", arguments, bytes);
    TracerObject *self = (TracerObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    const struct ramet_trace_limits limits = {(size_t)arguments, (size_t)bytes};
    ramet_tracer_begin(&self->tracer, &limits, filtered, owns);
    return (PyObject *)self;
}

static void tracer_dealloc(TracerObject *self)
{
    ramet_tracer_end(&self->tracer);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *tracer_seize(TracerObject *self, PyObject *number)
{
    int tid;
    if (!core_read_int("tid", number, &tid))
        return NULL;
    const long error = ramet_tracer_seize(&self->tracer, tid);
    if (error < 0)
        return core_raise_errno(error);
    Py_RETURN_NONE;
}

static PyObject *tracer_run(TracerObject *self, PyObject *unused)
{
    long error;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    error = ramet_tracer_run(&self->tracer);
    Py_END_ALLOW_THREADS
    if (error < 0)
        return core_raise_errno(error);
    Py_RETURN_NONE;
}

static PyObject *tracer_leave(TracerObject *self, PyObject *unused)
{
    (void)unused;
    ramet_tracer_leave(&self->tracer);
    Py_RETURN_NONE;
}

static PyObject *tracer_take(TracerObject *self, PyObject *args)
{
    Py_ssize_t enough;
    double seconds;
    char *bytes;
    long length;
    if (!PyArg_ParseTuple(args, "nd:take", &enough, &seconds))
        return NULL;
    do {
        Py_BEGIN_ALLOW_THREADS
        length = ramet_trace_take(&self->tracer.records, (size_t)enough, (int64_t)(seconds * RAMET_SECOND), &bytes);
        Py_END_ALLOW_THREADS
        if (length == -EINTR && PyErr_CheckSignals() < 0)
            return NULL;
    } while (length == -EINTR);
    PyObject *taken = PyBytes_FromStringAndSize(bytes, length);
    free(bytes);
    return taken;
}

PyObject *core_trace_filter(PyObject *module, PyObject *unused)
{
    struct sock_filter program[RAMET_FAMILY_MOST_INSTRUCTIONS];
    (void)module, (void)unused;
    const size_t count = ramet_family_filter(program);
    return PyBytes_FromStringAndSize((const char *)program, (Py_ssize_t)(count * sizeof *program));
}

static PyMethodDef tracer_methods[] = {
    {"leave", (PyCFunction)tracer_leave, METH_NOARGS,
     "leave($self, /)\n--\n\nBy any thread: run() detaches from all tasks, or kills those that were started for it."},
    {"run", (PyCFunction)tracer_run, METH_NOARGS,
     "run($self, /)\n--\n\nFollows the tasks until none is left; by the thread that has attached to them."},
    {"seize", (PyCFunction)tracer_seize, METH_O, "seize($self, tid, /)\n--\n\nAttaches the calling thread to a task."},
    {"take", (PyCFunction)tracer_take, METH_VARARGS,
     "take($self, enough, patience, /)\n--\n\n"
     "Waits for a record, and then for so many bytes of them or so many seconds. All there are; none at the end."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Tracer_Type = {
    CORE_TYPE("Tracer", TracerObject, 0),
    .tp_doc = "Tracer(*, arguments, argument_bytes, filtered, owns)\n--\n\n"
              "Follows tasks by ptrace. filtered: their filter stops at the calls of the family; owns: they end with the tracer.",
    .tp_new = tracer_new,
    .tp_dealloc = (destructor)tracer_dealloc,
    .tp_methods = tracer_methods,
};
