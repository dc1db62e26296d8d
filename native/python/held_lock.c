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

#include <stddef.h>
#include <structmember.h>

#define MOST_WORDS 2 /* of acquire(): whether it waits, and how long */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *lock;
    bool is_taken;
} HeldObject;

static const struct core_state *names_of(HeldObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

static PyObject *call_method(HeldObject *self, PyObject *method, PyObject *const *args, size_t count, PyObject *names)
{
    PyObject *words[MOST_WORDS + 1] = {self->lock};
    const size_t named = names == NULL ? 0 : (size_t)PyTuple_GET_SIZE(names);
    for (size_t i = 0; i < count + named; i++)
        words[i + 1] = args[i];
    return PyObject_VectorcallMethod(method, words, count + 1, names);
}

/* Takes the lock, as its acquire() does: the words are that one's. */
static PyObject *held_call(PyObject *object, PyObject *const *args, size_t flagged, PyObject *names)
{
    HeldObject *self = (HeldObject *)object;
    const size_t count = (size_t)PyVectorcall_NARGS(flagged);
    if (count + (names == NULL ? 0 : (size_t)PyTuple_GET_SIZE(names)) > MOST_WORDS)
        return PyErr_Format(PyExc_TypeError, "invalid call: expected the words of acquire()");
    PyObject *taken = call_method(self, names_of(self)->acquire, args, count, names);
    self->is_taken = taken == Py_True; /* no handler runs between the two */
    return taken;
}

static PyObject *held_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 1 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0))
        return PyErr_Format(PyExc_TypeError, "invalid Held(): expected a lock");
    HeldObject *self = (HeldObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = held_call;
    self->lock = Py_NewRef(PyTuple_GET_ITEM(args, 0));
    return (PyObject *)self;
}

static void held_dealloc(HeldObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->lock);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *held_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *held_exit(HeldObject *self, PyObject *const *what, Py_ssize_t count)
{
    (void)what, (void)count;
    if (!self->is_taken)
        Py_RETURN_NONE;
    self->is_taken = false;
    return call_method(self, names_of(self)->release, NULL, 0, NULL);
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(HeldObject, call), READONLY, NULL},
    {"is_taken", T_BOOL, offsetof(HeldObject, is_taken), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef methods[] = {
    {"__enter__", held_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))held_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot held_slots[] = {
    {Py_tp_doc, "Held(lock, /)\n--\n\nHas a lock for the block of a with statement, which calls what it gets to take it, as acquire()."},
    {Py_tp_new, held_new},
    {Py_tp_dealloc, held_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, members},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec core_held_spec = {
    .name = "ramet._core.Held",
    .basicsize = sizeof(HeldObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = held_slots,
};
