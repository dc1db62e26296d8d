/* ramet.lowlevel.Stack */
#include "core.h"

#include <signal.h>
#include <unistd.h>

#include "deferred_release.h"

static PyObject *stack_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"size", NULL};
    PyObject *given;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Stack", names, &given))
        return NULL;
    if (!PyIndex_Check(given))
        return core_raise_invalid(PyExc_TypeError, "size", "a number of bytes", given);
    Py_ssize_t size = PyNumber_AsSsize_t(given, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred())
        return PyErr_ExceptionMatches(PyExc_OverflowError)
                   ? core_raise_invalid(PyExc_OverflowError, "size", "a number of bytes", given)
                   : NULL;
    long least = sysconf(_SC_MINSIGSTKSZ);
    if (least < MINSIGSTKSZ)
        least = MINSIGSTKSZ;
    if (size < least)
        return PyErr_Format(PyExc_ValueError, "invalid size: expected at least %ld bytes, which one signal frame needs, got %zd",
                            least, size);
    StackObject *self = (StackObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    ramet_release_deferred();
    self->stack = ramet_stack_new((size_t)size);
    if (self->stack == NULL) {
        Py_DECREF(self);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return (PyObject *)self;
}

static void stack_dealloc(StackObject *self)
{
    if (self->stack != NULL)
        ramet_stack_release(self->stack);
    ramet_release_deferred();
    Py_TYPE(self)->tp_free(self);
}

static PyObject *stack_base(StackObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->stack->base);
}

static PyObject *stack_top(StackObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->stack->base + self->stack->size);
}

static PyObject *stack_size(StackObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(self->stack->size);
}

static PyObject *stack_in_use(StackObject *self, void *unused)
{
    (void)unused;
    ramet_release_deferred();
    return PyBool_FromLong(ramet_stack_in_use(self->stack));
}

static PyObject *stack_repr(StackObject *self)
{
    return PyUnicode_FromFormat("<Stack of %zu bytes at %p>", self->stack->size, (void *)self->stack->base);
}

static int stack_buffer(StackObject *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, (void *)self->stack->base, (Py_ssize_t)self->stack->size, 1, flags);
}

static PyGetSetDef stack_members[] = {
    {"base", (getter)stack_base, NULL, "the lowest address; a guard page lies below it", NULL},
    {"top", (getter)stack_top, NULL, "the address just past the end, where the child begins", NULL},
    {"size", (getter)stack_size, NULL, "in bytes, whole pages", NULL},
    {"in_use", (getter)stack_in_use, NULL, "whether a task may be on it", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyBufferProcs stack_as_buffer = {(getbufferproc)stack_buffer, NULL};

PyDoc_STRVAR(stack_doc, "Stack(size)\n--\n\n"
"A block of memory for a child's stack, with a guard page below it.\n"
"\n"
"size is in bytes and rounded up to whole pages; pages are taken when they are first touched.\n"
"The mapping belongs to this object and to every task that runs on it: it is released when the\n"
"object is gone and no task can be on it any more, never before. A memoryview of it reads it.\n"
"\n"
"Raises ValueError below the size of a signal frame, OSError(ENOMEM) when there is no room.\n"
"\n"
"Source: mmap(2) MAP_STACK, clone(2).");

PyTypeObject Stack_Type = {
    CORE_TYPE("Stack", StackObject, 0),
    .tp_doc = stack_doc,
    .tp_new = stack_new,
    .tp_dealloc = (destructor)stack_dealloc,
    .tp_repr = (reprfunc)stack_repr,
    .tp_getset = stack_members,
    .tp_as_buffer = &stack_as_buffer,
};
