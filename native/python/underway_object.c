/* ramet._core.Underway and spawn_aside: the child of a plan that is on its way, while the caller goes on. */
#include "handle.h"
#include "plan_object.h"

#include "launch_beside.h"

typedef struct {
    PyObject_HEAD
    struct ramet_underway *child;
} UnderwayObject;

/* Takes over the hold. */
static PyObject *underway_object(PyTypeObject *type, struct ramet_underway *child)
{
    UnderwayObject *self = (UnderwayObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        ramet_underway_release(child);
    else
        self->child = child;
    return (PyObject *)self;
}

/* The handle stands for the child, if there is one. */
static void hold(HandleObject *handle, const struct ramet_underway *child)
{
    int pidfd, pid = ramet_underway_pid(child, &pidfd);
    if (pid > 0)
        core_handle_hold(handle, pid, pidfd);
}

static PyObject *underway_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"args",          "legacy",        "plan",  "child", "waits", "follows_process",
                            "has_own_score", "pid_namespace", NULL};
    int legacy, waits, follows, scores, error = 0;
    HandleObject *handle;
    struct ramet_request request;
    struct ramet_launch_manner manner;
    struct ramet_underway *child;
    Py_buffer block;
    PlanObject *plan;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*pO!O!pppi:Underway", names, &block, &legacy, &Plan_Type, &plan,
                                     &Handle_Type, &handle, &waits, &follows, &scores, &manner.pid_namespace))
        return NULL;
    manner.waits = waits;
    manner.follows_process = follows;
    manner.has_own_score = scores;
    bool read = core_read_launch(&request, &block, legacy);
    PyBuffer_Release(&block);
    if (!read)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    child = ramet_launch_beside(&request, plan->plan, &manner, &error);
    Py_END_ALLOW_THREADS
    if (child == NULL)
        return core_raise_errno(-error);
    hold(handle, child);
    return underway_object(type, child);
}

static void underway_dealloc(UnderwayObject *self)
{
    if (self->child != NULL)
        ramet_underway_release(self->child);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *underway_reach(UnderwayObject *self, PyObject *args)
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
    arrived = ramet_underway_await(self->child, gate, timeout, &report);
    Py_END_ALLOW_THREADS
    if (!arrived)
        Py_RETURN_NONE;
    return Py_BuildValue("ii", report.failed_step, report.error);
}

static PyObject *underway_cancel(UnderwayObject *self, PyObject *unused)
{
    (void)unused;
    ramet_underway_cancel(self->child);
    Py_RETURN_NONE;
}

static PyObject *underway_open(UnderwayObject *self, PyObject *args)
{
    int gate;
    if (!PyArg_ParseTuple(args, "i:open", &gate))
        return NULL;
    ramet_underway_open_gate(self->child, gate);
    Py_RETURN_NONE;
}

static PyObject *underway_stop(UnderwayObject *self, PyObject *unused)
{
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    ramet_underway_stop(self->child);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef underway_methods[] = {
    {"cancel", (PyCFunction)underway_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nKills the child, if it is on its way still."},
    {"open", (PyCFunction)underway_open, METH_VARARGS, "open($self, gate, /)\n--\n\nLets the child pass a gate."},
    {"reach", (PyCFunction)underway_reach, METH_VARARGS,
     "reach($self, gate, timeout=None, /)\n--\n\nWaits until the child is at a gate, its program runs or it has failed:\n"
     "(failed step or -1, errno), or None when the time is up; timeout in seconds or None."},
    {"stop", (PyCFunction)underway_stop, METH_NOARGS, "stop($self, /)\n--\n\nStops the child at its gate."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Underway_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ramet._core.Underway",
    .tp_basicsize = sizeof(UnderwayObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Underway(args, legacy, plan, child, waits, follows_process, has_own_score, pid_namespace)\n--\n\n"
              "A child of a plan, on its way while its maker goes on; the handle stands for it.",
    .tp_new = underway_new,
    .tp_dealloc = (destructor)underway_dealloc,
    .tp_methods = underway_methods,
};

PyObject *core_spawn_aside(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct ramet_launch_manner manner = {.pid_namespace = RAMET_NO_NAMESPACE};
    struct ramet_request request;
    struct ramet_report report;
    struct ramet_underway *child;
    bool launched = false;
    int error = 0;
    Py_buffer block;
    (void)module;
    if (count != 6 || !PyObject_TypeCheck(args[2], &Plan_Type) || !PyObject_TypeCheck(args[4], &Handle_Type))
        return PyErr_Format(PyExc_TypeError, "spawn_aside(args, legacy, plan, has_own_score, child, patience)");
    int64_t patience = core_timeout(args[5]);
    if (patience == -2 || PyObject_GetBuffer(args[0], &block, PyBUF_SIMPLE) < 0)
        return NULL;
    manner.has_own_score = args[3] == Py_True;
    bool read = core_read_launch(&request, &block, args[1] == Py_True);
    PyBuffer_Release(&block);
    if (!read)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    child = ramet_launch_beside(&request, ((PlanObject *)args[2])->plan, &manner, &error);
    if (child != NULL)
        launched = ramet_underway_await(child, RAMET_LAUNCHED, patience, &report);
    Py_END_ALLOW_THREADS
    if (child == NULL)
        return core_raise_errno(-error);
    hold((HandleObject *)args[4], child);
    if (!launched)
        return underway_object(&Underway_Type, child);
    ramet_underway_release(child);
    return core_failure(&report);
}
