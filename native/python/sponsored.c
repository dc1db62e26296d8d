/* ramet._core.Sponsored and spawn_apart: the child of a plan that is on its way, while the caller goes on. */
#include "handle.h"
#include "plan_object.h"

#include "sponsor.h"

typedef struct {
    PyObject_HEAD
    struct ramet_sponsored *child;
} SponsoredObject;

static PyObject *sponsored_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"args", "legacy", "plan", "stays", "pid_namespace", NULL};
    struct ramet_request request;
    Py_buffer block;
    PlanObject *plan;
    int legacy, stays, pid_namespace;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*pO!pi:Sponsored", names, &block, &legacy, &Plan_Type, &plan,
                                     &stays, &pid_namespace))
        return NULL;
    bool read = core_read_launch(&request, &block, legacy);
    PyBuffer_Release(&block);
    if (!read)
        return NULL;
    SponsoredObject *self = (SponsoredObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->child =
        ramet_sponsor(&request, plan->plan, stays ? RAMET_SPONSOR_STAYS : RAMET_SPONSOR_LEAVES, pid_namespace);
    if (self->child != NULL)
        return (PyObject *)self;
    PyErr_SetFromErrno(PyExc_OSError);
    Py_DECREF(self);
    return NULL;
}

static void sponsored_dealloc(SponsoredObject *self)
{
    if (self->child != NULL)
        ramet_sponsored_release(self->child);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *sponsored_reach(SponsoredObject *self, PyObject *args)
{
    struct ramet_report report;
    PyObject *seconds = Py_None;
    bool arrived;
    int gate;
    if (!PyArg_ParseTuple(args, "i|O:reach", &gate, &seconds))
        return NULL;
    int64_t timeout = core_timeout(seconds);
    if (timeout == -2)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    arrived = ramet_sponsored_await(self->child, gate, timeout, &report);
    Py_END_ALLOW_THREADS
    if (!arrived)
        Py_RETURN_NONE;
    return core_report(&report);
}

static PyObject *sponsored_event(SponsoredObject *self, PyObject *unused)
{
    (void)unused;
    int event = ramet_sponsored_event(self->child);
    return event < 0 ? core_raise_errno(event) : PyLong_FromLong(event);
}

static PyObject *sponsored_cancel(SponsoredObject *self, PyObject *unused)
{
    (void)unused;
    ramet_sponsored_cancel(self->child);
    Py_RETURN_NONE;
}

static PyObject *sponsored_open(SponsoredObject *self, PyObject *args)
{
    int gate;
    if (!PyArg_ParseTuple(args, "i:open", &gate))
        return NULL;
    ramet_sponsored_open(self->child, gate);
    Py_RETURN_NONE;
}

static PyObject *sponsored_stop(SponsoredObject *self, PyObject *unused)
{
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    ramet_sponsored_stop(self->child);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef sponsored_methods[] = {
    {"cancel", (PyCFunction)sponsored_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nKills the child on its way; to be asked again until the last gate is reached."},
    {"event", (PyCFunction)sponsored_event, METH_NOARGS,
     "event($self, /)\n--\n\nA descriptor that can be read when its program runs or it has failed; closed with the object."},
    {"open", (PyCFunction)sponsored_open, METH_VARARGS, "open($self, gate, /)\n--\n\nLets the child pass a gate."},
    {"reach", (PyCFunction)sponsored_reach, METH_VARARGS,
     "reach($self, gate, timeout=None, /)\n--\n\nWaits until the child is at a gate, its program runs or it has failed:\n"
     "(pid, pidfd, failed step, errno), or None when the time is up; timeout in seconds or None."},
    {"stop", (PyCFunction)sponsored_stop, METH_NOARGS, "stop($self, /)\n--\n\nStops the child at its gate."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Sponsored_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ramet._core.Sponsored",
    .tp_basicsize = sizeof(SponsoredObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Sponsored(args, legacy, plan, stays, pid_namespace)\n--\n\nA child of a plan, made by a thread of its own.",
    .tp_new = sponsored_new,
    .tp_dealloc = (destructor)sponsored_dealloc,
    .tp_methods = sponsored_methods,
};

/* Takes over the hold. */
static PyObject *sponsored_object(struct ramet_sponsored *child)
{
    SponsoredObject *self = (SponsoredObject *)Sponsored_Type.tp_alloc(&Sponsored_Type, 0);
    if (self == NULL)
        ramet_sponsored_release(child);
    else
        self->child = child;
    return (PyObject *)self;
}

PyObject *core_spawn_apart(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct ramet_request request;
    struct ramet_report report;
    Py_buffer block;
    (void)module;
    if (count != 5 || !PyObject_TypeCheck(args[2], &Plan_Type) || !PyObject_TypeCheck(args[3], &Handle_Type))
        return PyErr_Format(PyExc_TypeError, "spawn_apart(args, legacy, plan, child, patience)");
    int64_t patience = core_timeout(args[4]);
    if (patience == -2 || PyObject_GetBuffer(args[0], &block, PyBUF_SIMPLE) < 0)
        return NULL;
    bool read = core_read_launch(&request, &block, args[1] == Py_True);
    PyBuffer_Release(&block);
    if (!read)
        return NULL;
    struct ramet_sponsored *child = ramet_sponsor(&request, ((PlanObject *)args[2])->plan, RAMET_SPONSOR_KEPT, -1);
    if (child == NULL)
        return PyErr_SetFromErrno(PyExc_OSError);
    bool launched;
    Py_BEGIN_ALLOW_THREADS
    launched = ramet_sponsored_await(child, RAMET_LAUNCHED, patience, &report);
    Py_END_ALLOW_THREADS
    if (!launched)
        return sponsored_object(child);
    ramet_sponsored_release(child);
    return core_born((HandleObject *)args[3], &report);
}
