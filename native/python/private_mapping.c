/* ramet._core.PrivateMapping: a file's bytes as a buffer that can be written to, for its holder alone. */
#define _GNU_SOURCE
#include "core.h"
#include "huge_pages.h"

#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

typedef struct {
    PyObject_HEAD
    void *start;
    size_t size;
} PrivateMappingObject;

/* Python's mmap keeps a descriptor as long as the memory, before 3.13 in any case. */
static PyObject *private_mapping_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int descriptor;
    Py_ssize_t size;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return PyErr_Format(PyExc_TypeError, "PrivateMapping() takes no keyword arguments");
    if (!PyArg_ParseTuple(args, "in:PrivateMapping", &descriptor, &size))
        return NULL;
    if (size <= 0)
        return PyErr_Format(PyExc_ValueError, "invalid size: expected 1 or more, got %zd", size);
    PrivateMappingObject *self = (PrivateMappingObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    void *start = core_map_file(descriptor, (size_t)size, MAP_PRIVATE);
    if (start == MAP_FAILED) {
        Py_DECREF(self);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    self->start = start;
    self->size = (size_t)size;
    madvise(start, self->size, MADV_POPULATE_READ); /* all at once, where the kernel can: 5.14 */
    return (PyObject *)self;
}

static void private_mapping_dealloc(PrivateMappingObject *self)
{
    if (self->start != NULL)
        munmap(self->start, self->size);
    Py_TYPE(self)->tp_free(self);
}

static int private_mapping_buffer(PrivateMappingObject *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->start, (Py_ssize_t)self->size, 0, flags);
}

static PyBufferProcs as_buffer = {(getbufferproc)private_mapping_buffer, NULL};

PyTypeObject PrivateMapping_Type = {
    CORE_TYPE("PrivateMapping", PrivateMappingObject, 0),
    .tp_doc = "PrivateMapping(descriptor, size, /)\n--\n\n"
              "So many bytes of a file; what is written to them is seen by nobody else. The descriptor may be closed.",
    .tp_new = private_mapping_new,
    .tp_dealloc = (destructor)private_mapping_dealloc,
    .tp_as_buffer = &as_buffer,
};
