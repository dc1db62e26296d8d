/*
 * ramet._core.Mapping: memory that a child shares with its parent, from which its outcome is read. It
 * is as large as the machine's memory and takes the pages that are written. transfer.py has the rest;
 * here is what every child passes, for each page that Python touches is copied after a fork.
 */
#include "mapping.h"

#include <marshal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"

#define LEAST_BYTES ((size_t)1 << 16)
#define MOST_PLAIN_BYTES ((Py_ssize_t)1 << 14)
#define MARSHAL_VERSION 2 /* the last that keeps no account of references */

/* parcel.py has the same layout and numbers. */
#define DATA_AT 64

enum { PARCEL_PLAIN = 5 };

struct header {
    uint64_t length, count, kind;
};

/* ---- the memory */

static void *map(size_t size)
{
    void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

/* Less where a limit (RLIMIT_AS, strict overcommit) says so; as much again is left for the function. */
static void *map_what_is_left(size_t *size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    while (*size > LEAST_BYTES) {
        *size = *size / 4 > LEAST_BYTES ? *size / 4 / page * page : LEAST_BYTES;
        void *trial = map(2 * *size);
        if (trial == NULL)
            continue;
        munmap(trial, 2 * *size);
        break;
    }
    return map(*size);
}

static bool map_largest(MappingObject *self)
{
    self->size = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    self->start = map(self->size);
    if (self->start == NULL)
        self->start = map_what_is_left(&self->size);
    return self->start != NULL;
}

static MappingObject *made(PyTypeObject *type, size_t size)
{
    MappingObject *self = (MappingObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->epoch = ramet_epoch();
    self->size = size;
    if (size > 0 ? (self->start = map(size)) != NULL : map_largest(self))
        return self;
    Py_DECREF(self);
    PyErr_NoMemory();
    return NULL;
}

MappingObject *core_mapping_new(PyTypeObject *type)
{
    return made(type, 0);
}

static PyObject *mapping_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t size = 0;
    (void)kwargs; /* the subclass's own */
    if (!PyArg_ParseTuple(args, "|n:Mapping", &size))
        return NULL;
    if (size < 0 || (size > 0 && size < DATA_AT))
        return PyErr_Format(PyExc_ValueError, "a mapping of %zd bytes", size);
    return (PyObject *)made(type, (size_t)size);
}

/* In a copy of this memory something else may lie there: it was kept from that child. */
static void mapping_dealloc(MappingObject *self)
{
    if (self->start != NULL && self->epoch == ramet_epoch())
        munmap(self->start, self->size);
    Py_TYPE(self)->tp_free(self);
}

static int mapping_buffer(MappingObject *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->start, (Py_ssize_t)self->size, 0, flags);
}

void core_mapping_keep_from_others(const MappingObject *self)
{
    madvise(self->start, self->size, MADV_DONTFORK);
}

static PyObject *mapping_keep_from_others(MappingObject *self, PyObject *unused)
{
    (void)unused;
    core_mapping_keep_from_others(self);
    Py_RETURN_NONE;
}

static PyObject *mapping_share_with_others(MappingObject *self, PyObject *unused)
{
    (void)unused;
    madvise(self->start, self->size, MADV_DOFORK);
    Py_RETURN_NONE;
}

/* ---- in the child */

/* Writes what needs no pickle; whether it did. Last the header, so that a child killed in the midst has left nothing. */
static bool put_marshalled(MappingObject *self, PyObject *value)
{
    PyObject *data = PyMarshal_WriteObjectToString(value, MARSHAL_VERSION);
    bool fits = data != NULL && (size_t)PyBytes_GET_SIZE(data) <= self->size - DATA_AT;
    if (fits) {
        memcpy(self->start + DATA_AT, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
        __atomic_signal_fence(__ATOMIC_RELEASE);
        *(struct header *)self->start = (struct header){(uint64_t)PyBytes_GET_SIZE(data), 0, PARCEL_PLAIN};
    }
    PyErr_Clear();
    Py_XDECREF(data);
    return fits;
}

static bool is_plain(PyObject *value)
{
    if (value == Py_None || PyBool_Check(value) || PyLong_CheckExact(value) || PyFloat_CheckExact(value))
        return true;
    return (PyBytes_CheckExact(value) && PyBytes_GET_SIZE(value) <= MOST_PLAIN_BYTES) ||
           (PyUnicode_CheckExact(value) && PyUnicode_GET_LENGTH(value) <= MOST_PLAIN_BYTES);
}

/* ramet.parcel.put_value() or put_error(), which return the exit code. */
static int put(MappingObject *self, const char *function, PyObject *outcome)
{
    PyObject *parcel = PyImport_ImportModule("ramet.parcel");
    PyObject *view = parcel == NULL ? NULL : PyMemoryView_FromObject((PyObject *)self);
    PyObject *code = view == NULL ? NULL : PyObject_CallMethod(parcel, function, "OO", view, outcome);
    Py_XDECREF(view);
    Py_XDECREF(parcel);
    int result = code == NULL ? core_code_of_failure() : (int)PyLong_AsLong(code);
    Py_XDECREF(code);
    return result;
}

static int put_error(MappingObject *self)
{
    PyObject *type, *error, *traceback;
    if (PyErr_ExceptionMatches(PyExc_SystemExit))
        return core_code_of_failure();
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    int code = put(self, "put_error", error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return code;
}

static int put_value(MappingObject *self, PyObject *value)
{
    return is_plain(value) && put_marshalled(self, value) ? 0 : put(self, "put_value", value);
}

static int flush(const char *name)
{
    static PyObject *method;
    PyObject *stream = PySys_GetObject(name);
    if (stream == NULL || stream == Py_None)
        return 0;
    if (method == NULL && (method = PyUnicode_InternFromString("flush")) == NULL)
        return -1;
    Py_INCREF(stream);
    PyObject *done = PyObject_CallMethodNoArgs(stream, method);
    Py_DECREF(stream);
    Py_XDECREF(done);
    if (done == NULL && (PyErr_ExceptionMatches(PyExc_AttributeError) || PyErr_ExceptionMatches(PyExc_OSError) ||
                         PyErr_ExceptionMatches(PyExc_ValueError)))
        PyErr_Clear();
    return PyErr_Occurred() ? -1 : 0;
}

int core_flush_standard_streams(void)
{
    return flush("stdout") < 0 || flush("stderr") < 0 ? -1 : 0;
}

PyObject *core_flush(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return core_flush_standard_streams() < 0 ? NULL : Py_NewRef(Py_None);
}

int core_mapping_deliver(MappingObject *self, PyObject *fn, PyObject *args)
{
    PyObject *value = PyObject_Call(fn, args, NULL);
    int code = value == NULL ? put_error(self) : put_value(self, value);
    Py_XDECREF(value);
    return core_flush_standard_streams() < 0 ? core_code_of_failure() : code;
}

static PyObject *mapping_deliver(MappingObject *self, PyObject *args)
{
    PyObject *fn, *arguments;
    if (!PyArg_ParseTuple(args, "OO!:deliver", &fn, &PyTuple_Type, &arguments))
        return NULL;
    return PyLong_FromLong(core_mapping_deliver(self, fn, arguments));
}

/* ---- in the parent */

PyObject *core_mapping_plain(const MappingObject *self)
{
    const struct header *header = (const struct header *)self->start;
    if (self->epoch != ramet_epoch() || header->kind != PARCEL_PLAIN || header->length > self->size - DATA_AT)
        return NULL;
    return PyMarshal_ReadObjectFromString((const char *)self->start + DATA_AT, (Py_ssize_t)header->length);
}

static PyObject *mapping_is_here(MappingObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->epoch == ramet_epoch());
}

static PyGetSetDef mapping_properties[] = {
    {"is_here", (getter)mapping_is_here, NULL, "Whether it lies in this memory.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef mapping_methods[] = {
    {"deliver", (PyCFunction)mapping_deliver, METH_VARARGS,
     "deliver($self, fn, args, /)\n--\n\nIn the child: calls fn(*args), writes down what came of it, and returns the exit code."},
    {"keep_from_others", (PyCFunction)mapping_keep_from_others, METH_NOARGS,
     "keep_from_others($self, /)\n--\n\nIn the parent: children that are born later need no part in this."},
    {"share_with_others", (PyCFunction)mapping_share_with_others, METH_NOARGS,
     "share_with_others($self, /)\n--\n\nIn the parent: what goes on lying here is known to later children."},
    {NULL, NULL, 0, NULL},
};

static PyBufferProcs mapping_as_buffer = {(getbufferproc)mapping_buffer, NULL};

PyTypeObject Mapping_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ramet._core.Mapping",
    .tp_basicsize = sizeof(MappingObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_doc = "Mapping(size=0, /)\n--\n\nMemory that is shared with children born from now on; 0: as large as may be.",
    .tp_new = mapping_new,
    .tp_dealloc = (destructor)mapping_dealloc,
    .tp_as_buffer = &mapping_as_buffer,
    .tp_getset = mapping_properties,
    .tp_methods = mapping_methods,
};
