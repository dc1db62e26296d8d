/*
 * ramet._core.Owner: what owns processes and descriptors until others do. Python calls a __del__() at each end, also when
 * nothing is owned any more, and loses what a handler of a signal raises there; this calls drop() only while it owns.
 */
#include "core.h"

#include <structmember.h>

#define MOST_ATTEMPTS 3 /* of drop(), which a handler of a signal may interrupt */

typedef struct {
    PyObject_HEAD
    char owns;
} OwnerObject;

static void owner_finalize(PyObject *self)
{
    PyObject *type, *error, *traceback;
    if (!((OwnerObject *)self)->owns)
        return;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *done = NULL;
    for (int attempt = 0; done == NULL && ((OwnerObject *)self)->owns && attempt < MOST_ATTEMPTS; attempt++) {
        done = PyObject_CallMethod(self, "drop", NULL);
        if (done == NULL)
            PyErr_WriteUnraisable(self);
    }
    Py_XDECREF(done);
    PyErr_Restore(type, error, traceback);
}

static PyMemberDef owner_members[] = {
    {"owns", T_BOOL, offsetof(OwnerObject, owns), 0, "Whether it owns anything."},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject Owner_Type = {
    CORE_TYPE("Owner", OwnerObject, Py_TPFLAGS_BASETYPE),
    .tp_doc = "Owner()\n--\n\nCalls drop() of its subclass at its end if it owns anything then.",
    .tp_new = PyType_GenericNew,
    .tp_finalize = owner_finalize,
    .tp_members = owner_members,
};
