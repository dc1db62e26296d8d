/* ramet._core.Ahead: a child that is made ahead of its program and waits for it. */
#include "clone_request.h"
#include "child_handle.h"
#include "namespace_of_child.h"
#include "plan_object.h"

#include <errno.h>
#include <linux/sched.h>

#include "descriptor_message.h"
#include "launch_ahead.h"

typedef struct {
    PyObject_HEAD
    struct ramet_ahead *child;
    bool is_used; /* by a thread that has let the interpreter lock go */
} AheadObject;

PyObject *core_launch_ahead(PyObject *module, PyObject *args)
{
    PyObject *request_object, *plan;
    struct core_request request;
    struct ramet_report report;
    struct ramet_ahead *child;
    int place, nothing;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO!ii:launch_ahead", &request_object, &Plan_Type, &plan, &place, &nothing) ||
        !core_read_request(&request, request_object))
        return NULL;
    if (!((PlanObject *)plan)->plan->enters)
        return core_raise_invalid(PyExc_ValueError, "plan", "one with a PID_NAMESPACE and an AWAIT", plan);
    request.kernel.args.flags &= ~(uint64_t)CLONE_PIDFD;
    AheadObject *self = (AheadObject *)Ahead_Type.tp_alloc(&Ahead_Type, 0);
    if (self == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    child = ramet_launch_ahead(&request.kernel, ((PlanObject *)plan)->plan, place, nothing, &report);
    Py_END_ALLOW_THREADS
    self->child = child;
    if (child != NULL)
        return (PyObject *)self;
    Py_DECREF(self);
    return report.pid < 0 ? core_raise_errno(report.pid) : Py_BuildValue("ii", report.failed_step, report.error);
}

static int read_descriptors(PyObject *tuple, int *descriptors)
{
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (count > RAMET_MOST_SENT) {
        PyErr_Format(PyExc_ValueError, "invalid descriptors: expected at most %d, got %zd", RAMET_MOST_SENT, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        descriptors[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(tuple, i));
        if (PyErr_Occurred())
            return -1;
    }
    return (int)count;
}

static PyObject *ahead_go(AheadObject *self, PyObject *args)
{
    HandleObject *handle;
    PyObject *plan, *tuple;
    struct ramet_report report;
    int descriptors[RAMET_MOST_SENT], error;
    if (!PyArg_ParseTuple(args, "O!O!O!:go", &Handle_Type, &handle, &Plan_Type, &plan, &PyTuple_Type, &tuple))
        return NULL;
    const int count = read_descriptors(tuple, descriptors);
    if (count < 0)
        return NULL;
    if (self->child == NULL || self->is_used)
        return core_raise_errno(-ESRCH);
    self->is_used = true;
    Py_BEGIN_ALLOW_THREADS
    error = ramet_ahead_go(self->child, ((PlanObject *)plan)->plan, descriptors, count, &report);
    Py_END_ALLOW_THREADS
    self->is_used = false;
    if (error < 0)
        return core_raise_errno(error);
    core_handle_hold(handle, report.pid, report.pidfd);
    core_handle_hold_init(handle, report.init, report.init_pidfd);
    handle->init_stays = true;
    return core_failure(&report);
}

static PyObject *ahead_pids(AheadObject *self, void *unused)
{
    long pid = 0, init = 0;
    (void)unused;
    if (self->child != NULL)
        pid = ramet_ahead_pid(self->child, &init);
    return Py_BuildValue("ll", pid, init);
}

static PyObject *ahead_end(AheadObject *self, PyObject *unused)
{
    (void)unused;
    struct ramet_ahead *child = self->is_used ? NULL : self->child;
    if (child != NULL) {
        self->child = NULL;
        Py_BEGIN_ALLOW_THREADS
        ramet_ahead_release(child);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

static void ahead_dealloc(AheadObject *self)
{
    if (self->child != NULL)
        ramet_ahead_release(self->child);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef ahead_methods[] = {
    {"end", (PyCFunction)ahead_end, METH_NOARGS,
     "end($self, /)\n--\n\nKills and reaps the child, if it has not been sent on. A second time it does nothing."},
    {"go", (PyCFunction)ahead_go, METH_VARARGS,
     "go($self, child, plan, descriptors, /)\n--\n\nSends it descriptors, with which it carries out the plan; the handle stands for it then.\n"
     "Returns when it has exec'ed: None, or (failed step, errno). OSError: it was not sent on; ESRCH: it had ended."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ahead_properties[] = {
    {"pids", (getter)ahead_pids, NULL, "Of the child and of the init of its namespace, 0 when they are not this object's.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject Ahead_Type = {
    CORE_TYPE("Ahead", AheadObject, Py_TPFLAGS_DISALLOW_INSTANTIATION),
    .tp_doc = "A child that is made ahead of its program and waits for it.",
    .tp_dealloc = (destructor)ahead_dealloc,
    .tp_getset = ahead_properties,
    .tp_methods = ahead_methods,
};
