/*
 * ramet._core.OwnMemory: a memfd that nobody else has, as memory that is written to in place. A private mapping would copy
 * each page at its first write, at four times the cost of the write.
 *
 * Once another process has the memory, too (a fork of this one, or whoever the memfd is passed on to), none may see what
 * another writes: so before that it is settled, which makes a private mapping of it at the same place.
 */
#define _GNU_SOURCE
#include "core.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "huge_pages.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

typedef struct own_memory {
    PyObject_HEAD
    char *start;
    size_t size;
    Py_ssize_t free; /* so many of its first bytes are of no use any more */
    int descriptor;
    dev_t device;
    ino_t inode;
    bool settled;
    struct own_memory *next;
} OwnMemoryObject;

static OwnMemoryObject *all;

/* The function may have closed all descriptors, and the number may be another file's. */
static bool has_descriptor(const OwnMemoryObject *self)
{
    struct stat file;
    return fstat(self->descriptor, &file) == 0 && file.st_dev == self->device && file.st_ino == self->inode;
}

static PyObject *own_memory_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int descriptor;
    Py_ssize_t size, free;
    struct stat file;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return PyErr_Format(PyExc_TypeError, "OwnMemory() takes no keyword arguments");
    if (!PyArg_ParseTuple(args, "inn:OwnMemory", &descriptor, &size, &free))
        return NULL;
    if (fstat(descriptor, &file) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (size <= 0 || file.st_size < size)
        return PyErr_Format(PyExc_ValueError, "invalid size: expected 1 to %lld, got %zd", (long long)file.st_size, size);
    void *start = core_map_file(descriptor, (size_t)size, MAP_SHARED);
    if (start == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    OwnMemoryObject *self = (OwnMemoryObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        munmap(start, (size_t)size);
        return NULL;
    }
    self->start = start;
    self->size = (size_t)size;
    self->free = free;
    self->descriptor = descriptor;
    self->device = file.st_dev;
    self->inode = file.st_ino;
    self->next = all;
    all = self;
    madvise(start, self->size, MADV_POPULATE_WRITE);
    return (PyObject *)self;
}

static void own_memory_dealloc(OwnMemoryObject *self)
{
    OwnMemoryObject **place = &all;
    while (*place != NULL && *place != self)
        place = &(*place)->next;
    if (*place != NULL)
        *place = self->next;
    munmap(self->start, self->size);
    if (has_descriptor(self))
        close(self->descriptor);
    Py_TYPE(self)->tp_free(self);
}

/* Without the memfd: a copy takes its place. */
static bool settle_by_copy(OwnMemoryObject *self)
{
    void *copy = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return false;
    memcpy(copy, self->start, self->size);
    if (mremap(copy, self->size, self->size, MREMAP_MAYMOVE | MREMAP_FIXED, self->start) != MAP_FAILED)
        return true;
    munmap(copy, self->size);
    return false;
}

static bool settle(OwnMemoryObject *self)
{
    const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
    if (self->settled)
        return true;
    self->settled = has_descriptor(self)
                        ? mmap(self->start, self->size, PROT_READ | PROT_WRITE, flags, self->descriptor, 0) != MAP_FAILED
                        : settle_by_copy(self);
    return self->settled;
}

PyObject *core_settle_memory(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    bool settled = true;
    for (OwnMemoryObject *each = all; each != NULL; each = each->next)
        settled = settle(each) && settled;
    return settled ? Py_NewRef(Py_None) : PyErr_NoMemory();
}

PyObject *core_memory_of(PyObject *module, PyObject *part)
{
    Py_buffer view;
    (void)module;
    if (PyObject_GetBuffer(part, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    const char *start = view.buf, *end = start + view.len;
    PyBuffer_Release(&view);
    for (OwnMemoryObject *each = all; each != NULL; each = each->next)
        if (start >= each->start && end <= each->start + each->size)
            return Py_BuildValue("On", each, (Py_ssize_t)(start - each->start));
    Py_RETURN_NONE;
}

/* Whether nobody can change what lies in the memfd any more: then it can be passed on. What is written here is not seen there. */
static PyObject *own_memory_seal(OwnMemoryObject *self, PyObject *unused)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    (void)unused;
    bool sealed = !self->settled && has_descriptor(self) && settle(self) && fcntl(self->descriptor, F_ADD_SEALS, seals) == 0;
    return PyBool_FromLong(sealed);
}

static PyObject *own_memory_fileno(OwnMemoryObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(self->descriptor);
}

static int own_memory_buffer(OwnMemoryObject *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->start, (Py_ssize_t)self->size, 0, flags);
}

static PyObject *own_memory_free(OwnMemoryObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSsize_t(self->settled ? 0 : self->free);
}

static PyBufferProcs as_buffer = {(getbufferproc)own_memory_buffer, NULL};

static PyGetSetDef own_memory_properties[] = {
    {"free", (getter)own_memory_free, NULL, "So many of the first bytes can be written to, of the memfd too; 0 once it is settled.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef own_memory_methods[] = {
    {"seal", (PyCFunction)own_memory_seal, METH_NOARGS,
     "seal($self, /)\n--\n\nSettles it, and seals the memfd. Whether it could be: then the memfd has all of the content, for good."},
    {"fileno", (PyCFunction)own_memory_fileno, METH_NOARGS, "fileno($self, /)\n--\n\nThe memfd's descriptor."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject OwnMemory_Type = {
    CORE_TYPE("OwnMemory", OwnMemoryObject, 0),
    .tp_doc = "OwnMemory(descriptor, size, free, /)\n--\n\n"
              "A memfd that nobody else has, as memory; it owns the descriptor. free: so many bytes at its beginning are of no use any more.",
    .tp_new = own_memory_new,
    .tp_dealloc = (destructor)own_memory_dealloc,
    .tp_as_buffer = &as_buffer,
    .tp_getset = own_memory_properties,
    .tp_methods = own_memory_methods,
};
