/* ramet._core.SharedTask: the caller's end of a carrier. */
#include "core.h"

#include "kill.h"

PyObject *core_shared_task_new(struct ramet_carrier *carrier)
{
    SharedTaskObject *self = PyObject_New(SharedTaskObject, &SharedTask_Type);
    if (self != NULL)
        self->carrier = carrier;
    return (PyObject *)self;
}

static void task_dealloc(SharedTaskObject *self)
{
    ramet_carrier_release(self->carrier);
    PyObject_Free(self);
}

static PyObject *task_done(SharedTaskObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(__atomic_load_n(&self->carrier->stage, __ATOMIC_ACQUIRE) == RAMET_DONE);
}

static PyObject *task_wait(SharedTaskObject *self, PyObject *seconds)
{
    return core_wait_until(seconds, &self->carrier->stage, RAMET_DONE);
}

PyObject *core_kill_sharer(PyObject *module, PyObject *args)
{
    int pid, pidfd;
    (void)module;
    if (!PyArg_ParseTuple(args, "ii:kill_sharer", &pid, &pidfd))
        return NULL;
    ramet_kill_sharer(pid, pidfd); /* holding the GIL: so the child is not in the midst of an object */
    Py_RETURN_NONE;
}

static PyGetSetDef task_members[] = {
    {"done", (getter)task_done, NULL, "whether the task has left the shared memory and its carrier has tidied up", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef task_methods[] = {
    {"wait", (PyCFunction)task_wait, METH_O,
     "wait($self, timeout, /)\n--\n\nSleeps until done; timeout in seconds or None. Returns whether it is done."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject SharedTask_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ramet._core.SharedTask",
    .tp_basicsize = sizeof(SharedTaskObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "A child that shares the memory: from its birth until its carrier has tidied up after it.",
    .tp_dealloc = (destructor)task_dealloc,
    .tp_getset = task_members,
    .tp_methods = task_methods,
};
