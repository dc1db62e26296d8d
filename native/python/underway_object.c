/* ramet._core.Underway: the child of a plan, on its way to its program while the caller goes on. */
#include "clone_request.h"
#include "child_handle.h"
#include "plan_object.h"

#include <structmember.h>

#include "launch_beside.h"

typedef struct {
    PyObject_HEAD
    struct ramet_underway *child;
    bool is_late;
} UnderwayObject;

/* The hold is the object's then. */
static PyObject *pending(struct ramet_underway *child, bool is_late)
{
    UnderwayObject *self = (UnderwayObject *)Underway_Type.tp_alloc(&Underway_Type, 0);
    if (self == NULL) {
        ramet_underway_release(child);
        return NULL;
    }
    self->child = child;
    self->is_late = is_late;
    return (PyObject *)self;
}

static bool read_manner(struct ramet_launch_manner *manner, PyObject *tuple)
{
    int waits, follows, scores;
    if (!PyArg_ParseTuple(tuple, "pppi:launch_beside", &waits, &follows, &scores, &manner->pid_namespace))
        return false;
    manner->waits = waits;
    manner->follows_process = follows;
    manner->has_own_score = scores;
    return true;
}

/* A launch that is over within the caller's patience needs no object, nor what Python would do with one: 4 us of 100. */
PyObject *core_launch_beside(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_request request;
    struct ramet_launch_manner manner;
    struct ramet_underway *child;
    struct ramet_report report;
    bool launched = false;
    int pidfd, pid, error = 0;
    (void)module;
    if (count != 5 || !PyObject_TypeCheck(args[0], &Handle_Type) || !PyObject_TypeCheck(args[2], &Plan_Type) || !PyTuple_Check(args[3]))
        return PyErr_Format(PyExc_TypeError, "launch_beside(child, request, plan, manner, patience)");
    int64_t patience = args[4] == Py_None ? 0 : core_timeout(args[4]);
    if (patience == -2 || !core_read_request(&request, args[1]) || !read_manner(&manner, args[3]))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    child = ramet_launch_beside(&request.kernel, ((PlanObject *)args[2])->plan, &manner, &error);
    if (child != NULL && patience > 0)
        launched = ramet_underway_await(child, RAMET_LAUNCHED, patience, &report);
    Py_END_ALLOW_THREADS
    if (child == NULL)
        return core_raise_errno(-error);
    if ((pid = ramet_underway_pid(child, &pidfd)) > 0) /* else a failed step says why there is none */
        core_handle_hold((HandleObject *)args[0], pid, pidfd);
    if (!launched)
        return pending(child, patience > 0);
    ramet_underway_release(child);
    return core_failure(&report);
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

static PyMemberDef underway_members[] = {
    {"is_late", T_BOOL, offsetof(UnderwayObject, is_late), READONLY, "Whether its maker has waited for it, and in vain."},
    {NULL, 0, 0, 0, NULL},
};

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
    CORE_TYPE("Underway", UnderwayObject, Py_TPFLAGS_DISALLOW_INSTANTIATION),
    .tp_doc = "A child of a plan, on its way to its program while its maker goes on.",
    .tp_dealloc = (destructor)underway_dealloc,
    .tp_members = underway_members,
    .tp_methods = underway_methods,
};
