/*
 * ramet._core.CloneOwner: owns a clone of a template, its descriptors and its socket, until a handle does. It is filled in
 * by Channel.receive_clone(). Python calls a __del__() at each end, also when nothing is owned any more, and loses what a
 * handler of a signal raises there; this calls drop() only while it owns.
 */
#include "clone_owner.h"

#include <stddef.h>
#include <structmember.h>
#include <unistd.h>

#define MOST_ATTEMPTS 3 /* of drop(), which a handler of a signal may interrupt */

static PyObject *owner_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int is_doubted = false, is_confined = false;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return PyErr_Format(PyExc_TypeError, "CloneOwner() takes no keyword arguments");
    if (!PyArg_ParseTuple(args, "|pp:CloneOwner", &is_doubted, &is_confined))
        return NULL;
    CloneOwnerObject *self = (CloneOwnerObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->maker = getpid();
    self->pidfd = self->pidfd_of_init = -1;
    self->is_doubted = (char)is_doubted;
    self->is_confined = (char)is_confined;
    self->has_own_numbers = !is_confined;
    return (PyObject *)self;
}

static void owner_finalize(PyObject *self)
{
    PyObject *type, *error, *traceback;
    const char *owns = &((CloneOwnerObject *)self)->owns;
    if (!*owns)
        return;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *done = NULL;
    for (int attempt = 0; done == NULL && *owns && attempt < MOST_ATTEMPTS; attempt++) {
        done = PyObject_CallMethod(self, "drop", NULL);
        if (done == NULL)
            PyErr_WriteUnraisable(self);
    }
    Py_XDECREF(done);
    PyErr_Restore(type, error, traceback);
}

static void owner_dealloc(CloneOwnerObject *self)
{
    Py_CLEAR(self->channel);
    Py_TYPE(self)->tp_free(self);
}

#define MEMBER(name, type, what) {#name, type, offsetof(CloneOwnerObject, name), 0, what}

static PyMemberDef owner_members[] = {
    MEMBER(maker, T_INT, "The pid of the process that owns it."),
    MEMBER(pid, T_INT, "Of the clone."),
    MEMBER(pidfd, T_INT, "Of the clone; -1 before there is one."),
    MEMBER(channel, T_OBJECT_EX, "Of its calls."),
    MEMBER(init, T_INT, "The pid of the init of its own pid namespace, 0 for none."),
    MEMBER(pidfd_of_init, T_INT, "-1 for none."),
    MEMBER(is_doubted, T_BOOL, "Whether what it was told may be another process."),
    MEMBER(is_confined, T_BOOL, "Whether the pids that it was told are those of a namespace."),
    MEMBER(has_own_numbers, T_BOOL, "Whether its pids are those that this process sees."),
    MEMBER(owns, T_BOOL, "Whether it owns all of these."),
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject CloneOwner_Type = {
    CORE_TYPE("CloneOwner", CloneOwnerObject, Py_TPFLAGS_BASETYPE),
    .tp_doc = "CloneOwner(is_doubted=False, is_confined=False, /)\n--\n\nCalls drop() of its subclass at its end if it owns a clone then.",
    .tp_new = owner_new,
    .tp_dealloc = (destructor)owner_dealloc,
    .tp_finalize = owner_finalize,
    .tp_members = owner_members,
};
