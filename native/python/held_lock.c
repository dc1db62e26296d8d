/*
 * ramet._core.Held: has a lock for a block, whatever a signal handler raises.
 *
 *     with Held(lock) as take:
 *         take()
 *
 * `with lock` takes it in __enter__, and Python 3.14 runs handlers between that and the block (CPython's issue 148874): what
 * one raises there leaves the lock taken for ever. Here the block takes it, and its end gives it back if it was taken.
 */
#include "core.h"

typedef struct {
    PyObject_HEAD
    PyObject *lock;
    bool is_taken;
} HeldObject;

static PyObject *held_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *lock;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return PyErr_Format(PyExc_TypeError, "Held() takes no keyword arguments");
    if (!PyArg_ParseTuple(args, "O:Held", &lock))
        return NULL;
    HeldObject *self = (HeldObject *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->lock = Py_NewRef(lock);
    return (PyObject *)self;
}

static void held_dealloc(HeldObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->lock);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *held_call(HeldObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *acquire = PyObject_GetAttrString(self->lock, "acquire");
    if (acquire == NULL)
        return NULL;
    PyObject *taken = PyObject_Call(acquire, args, kwargs);
    self->is_taken = taken == Py_True; /* no handler runs between the two */
    Py_DECREF(acquire);
    return taken;
}

static PyObject *held_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *held_exit(HeldObject *self, PyObject *what)
{
    (void)what;
    if (!self->is_taken)
        Py_RETURN_NONE;
    self->is_taken = false;
    return PyObject_CallMethod(self->lock, "release", NULL);
}

static PyMethodDef methods[] = {
    {"__enter__", held_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)held_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot held_slots[] = {
    {Py_tp_doc, "Held(lock, /)\n--\n\nHas a lock for the block of a with statement, which calls what it gets to take it, as acquire()."},
    {Py_tp_new, held_new},
    {Py_tp_dealloc, held_dealloc},
    {Py_tp_call, held_call},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec core_held_spec = {
    .name = "ramet._core.Held",
    .basicsize = sizeof(HeldObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = held_slots,
};
