/*
 * ramet._core.Mapping: memory that a child shares with its parent, from which its outcome is read. It
 * is as large as the machine's memory and takes the pages that are written. result_channel.py has the rest;
 * here is what every child passes, for each page that Python touches is copied after a fork.
 */
#include "mapping.h"

#include "called_names.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "end_of_sharing.h"
#include "epoch.h"
#include "credentials.h"
#include "plain_values.h"
#include "words.h"

#define LEAST_BYTES ((size_t)1 << 16)
#define PICKLE_PROTOCOL 5

/* result_layout.py has the same layout and numbers; plain_values.h says what is plain. */
#define DATA_AT 64
#define FIRST_BUFFER_AT 128 /* where there is one buffer, and no head */

enum { LAYOUT_VALUE = 1, LAYOUT_RAISED = 2, LAYOUT_UNPREPARED = 4, LAYOUT_PLAIN = 5 };

struct header {
    uint64_t count, length, kind;
};

/* Mappings between their clone call and keep_from_others(): a child that another thread makes meanwhile has them, too. */
static MappingObject *on_their_way;

/* ---- the memory */

/* Where mlockall(MCL_FUTURE) holds, the kernel makes all pages of what can be accessed at once: of the machine's memory. */
static void *map(size_t size)
{
    void *start = mmap(NULL, size, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    munlock(start, size);
    if (mprotect(start, size, PROT_READ | PROT_WRITE) == 0)
        return start;
    munmap(start, size);
    return NULL;
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

/* Known from before the clone call: a child that is still in it has entered no other. */
static uint64_t namespaces;

static void know_namespaces(void)
{
    if (namespaces == 0)
        namespaces = ramet_namespaces_of(0);
}

static MappingObject *made(PyTypeObject *type, size_t size, PyObject *trusted)
{
    if (trusted != Py_None && !PyBool_Check(trusted))
        return (MappingObject *)core_raise_invalid(PyExc_TypeError, "trusted", "True, False or None", trusted);
    MappingObject *self = (MappingObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->epoch = ramet_epoch();
    self->rights = ramet_credentials_now();
    self->maker = (int)ramet_syscall0(__NR_gettid);
    self->trusted = Py_NewRef(trusted);
    self->size = size;
    if (size > 0 ? (self->start = map(size)) == NULL : !map_largest(self)) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    know_namespaces();
    self->next = on_their_way;
    on_their_way = self;
    return self;
}

static void has_arrived(const MappingObject *self)
{
    MappingObject **place = &on_their_way;
    while (*place != NULL && *place != self)
        place = &(*place)->next;
    if (*place != NULL)
        *place = self->next;
}

static PyObject *mapping_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "trusted", NULL};
    Py_ssize_t size = 0;
    PyObject *trusted = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n$O:Mapping", names, &size, &trusted))
        return NULL;
    if (size < 0 || (size > 0 && size < DATA_AT))
        return PyErr_Format(PyExc_ValueError, "invalid size: expected 0 or at least %d bytes, got %zd", DATA_AT, size);
    return (PyObject *)made(type, (size_t)size, trusted);
}

/* In a copy of this memory something else may lie there: it was kept from that child. */
static void mapping_dealloc(MappingObject *self)
{
    has_arrived(self);
    if (self->start != NULL && self->epoch == ramet_epoch())
        munmap(self->start, self->size);
    Py_XDECREF(self->trusted);
    Py_TYPE(self)->tp_free(self);
}

static int mapping_buffer(MappingObject *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->start, (Py_ssize_t)self->size, 0, flags);
}

void core_mapping_keep_from_others(const MappingObject *self)
{
    has_arrived(self);
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

/* The kernel may reap it at its end, before its maker can ask what it may do. */
static bool may_vanish(void)
{
    struct sigaction action;
    return sigaction(SIGCHLD, NULL, &action) == 0 &&
           (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0);
}

/* What the child may send of its outcome. */
enum sends {
    OBJECTS,
    DATA,      /* else a pickle: the reader asks the kernel what the child may do */
    ONLY_DATA, /* its maker will not see that it is elsewhere, or has been told not to believe it */
};

/*
 * Than its maker, which may have entered others since they were known. Where /proc is gone, as after a chroot,
 * that is not known, and it is taken to be where it was.
 */
static bool is_elsewhere(const MappingObject *self)
{
    uint64_t now = ramet_namespaces_of(0);
    return now != 0 && now != namespaces && now != ramet_namespaces_of(self->maker);
}

static enum sends sends(const MappingObject *self)
{
    if (!core_mapping_goes_by_rights(self))
        return self->trusted == Py_True ? OBJECTS : ONLY_DATA;
    if (is_elsewhere(self))
        return ONLY_DATA;
    return !may_vanish() && self->rights == ramet_credentials_now() ? OBJECTS : DATA;
}

/*
 * Only the child itself writes here: not a child of its own, whatever becomes of that one's rights, nor
 * this one into what its siblings bring. It writes no page of its own for that.
 */
static void keep_to_itself(const MappingObject *self)
{
    madvise(self->start, self->size, MADV_DONTFORK);
    if (self->epoch == ramet_epoch()) /* it is no copy */
        return;
    for (const MappingObject *other = on_their_way; other != NULL; other = other->next)
        if (other != self && other->epoch == self->epoch) /* else it is of a maker before ours */
            munmap(other->start, other->size);
}

static void write_header(MappingObject *self, uint64_t count, uint64_t length, uint64_t kind)
{
    __atomic_signal_fence(__ATOMIC_RELEASE); /* a child that is killed before has left nothing */
    *(struct header *)self->start = (struct header){count, length, kind};
}

/* Whether it was one of the values that need no pickle. */
static bool put_plain(MappingObject *self, PyObject *value)
{
    Py_ssize_t length = core_plain_write(value, (char *)self->start + DATA_AT, self->size - DATA_AT);
    if (length >= 0)
        write_header(self, 0, (uint64_t)length, LAYOUT_PLAIN);
    return length >= 0;
}

/* ramet._process.result_channel has the rest: it returns the exit code. */
static int code_of(PyObject *code)
{
    int result = code == NULL ? core_code_of_failure() : (int)PyLong_AsLong(code);
    Py_XDECREF(code);
    return result;
}

static int put_error(MappingObject *self, PyObject *fn)
{
    PyObject *type, *error, *traceback;
    if (PyErr_ExceptionMatches(PyExc_SystemExit))
        return core_code_of_failure();
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *by_pickle = sends(self) == ONLY_DATA ? Py_False : Py_True;
    int code = code_of(PyObject_CallMethod((PyObject *)self, core_method(CORE_PUT_ERROR), "OOO", error, fn, by_pickle));
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return code;
}

/* pickle.dumps(value, protocol=5, buffer_callback=buffers.append). */
static PyObject *pickled(PyObject *value, PyObject *buffers)
{
    PyObject *module = PyImport_ImportModule("_pickle");
    PyObject *dumps = module == NULL ? NULL : PyObject_GetAttrString(module, "dumps");
    PyObject *append = dumps == NULL ? NULL : PyObject_GetAttrString(buffers, "append");
    PyObject *args = append == NULL ? NULL : Py_BuildValue("(Oi)", value, PICKLE_PROTOCOL);
    PyObject *options = args == NULL ? NULL : Py_BuildValue("{sO}", "buffer_callback", append);
    PyObject *data = options == NULL ? NULL : PyObject_Call(dumps, args, options);
    Py_XDECREF(options);
    Py_XDECREF(args);
    Py_XDECREF(append);
    Py_XDECREF(dumps);
    Py_XDECREF(module);
    return data;
}

/* result layout.put_value() without its frames, whose pages would be copied. Whether it was that simple. */
static bool put_pickled(MappingObject *self, PyObject *value)
{
    PyObject *buffers = PyList_New(0);
    PyObject *data = buffers == NULL ? NULL : pickled(value, buffers);
    uint64_t length = data == NULL || !PyBytes_Check(data) ? 0 : (uint64_t)PyBytes_GET_SIZE(data);
    bool simple = length > 0 && PyList_GET_SIZE(buffers) == 0 && self->size > FIRST_BUFFER_AT &&
                  length <= self->size - FIRST_BUFFER_AT;
    if (simple) {
        memcpy(self->start + DATA_AT, &length, sizeof length);
        memcpy(self->start + FIRST_BUFFER_AT, PyBytes_AS_STRING(data), length);
        write_header(self, 1, 0, LAYOUT_VALUE);
    }
    PyErr_Clear();
    Py_XDECREF(data);
    Py_XDECREF(buffers);
    return simple;
}

/* In ramet._process.result_channel is all that is less simple. */
static int put_value(MappingObject *self, PyObject *value)
{
    static const enum core_name ways[] = {
        [OBJECTS] = CORE_PUT_OBJECT, [DATA] = CORE_PUT_DATA_OR_OBJECT, [ONLY_DATA] = CORE_PUT_DATA};
    if (put_plain(self, value))
        return 0;
    enum sends what = sends(self);
    if (what == OBJECTS && put_pickled(self, value))
        return 0;
    return code_of(PyObject_CallMethod((PyObject *)self, core_method(ways[what]), "(O)", value));
}

/* With an exception set that a stream may raise of itself: whether it did. Else the exception is a handler's, and set again. */
static bool is_the_streams(PyObject *stream)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *function = core_look_up(CORE_FOR_STREAMS) ? core_named(CORE_STREAM_FAILED) : NULL;
    PyObject *answer = function == NULL ? NULL : PyObject_CallFunctionObjArgs(function, error, stream, NULL);
    bool is_handlers = answer == Py_False;
    if (answer == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception) &&
        !PyErr_ExceptionMatches(PyExc_ImportError)) /* with no descriptor free nothing can be imported */
        PyErr_Clear();
    if (is_handlers) {
        PyErr_Restore(type, error, traceback);
    } else {
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    }
    Py_XDECREF(answer);
    return PyErr_Occurred() == NULL;
}

static int flush(const char *name)
{
    PyObject *stream = PySys_GetObject(name);
    if (stream == NULL || stream == Py_None)
        return 0;
    PyObject *method = core_word(CORE_WORD_FLUSH);
    if (method == NULL)
        return -1;
    Py_INCREF(stream);
    PyObject *done = PyObject_CallMethodNoArgs(stream, method);
    bool passed = done != NULL;
    if (!passed && (PyErr_ExceptionMatches(PyExc_AttributeError) || PyErr_ExceptionMatches(PyExc_OSError) ||
                    PyErr_ExceptionMatches(PyExc_ValueError)))
        passed = is_the_streams(stream);
    Py_DECREF(stream);
    Py_XDECREF(done);
    return passed ? 0 : -1;
}

int core_flush_standard_streams(void)
{
    bool counted;
    if (!core_may_begin_sharing(&counted))
        return -1;
    bool passed = flush("stdout") == 0 && flush("stderr") == 0;
    core_has_shared(counted);
    return passed ? 0 : -1;
}

PyObject *core_flush(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return core_flush_standard_streams() < 0 ? NULL : Py_NewRef(Py_None);
}

int core_mapping_deliver(MappingObject *self, PyObject *fn, PyObject *args)
{
    keep_to_itself(self);
    uint64_t epoch = ramet_epoch();
    PyObject *value = PyObject_Call(fn, args, NULL);
    int code = 0;
    if (epoch != ramet_epoch()) /* a fork made in fn, which came back as well */
        code = value == NULL ? core_code_of_failure() : 0;
    else
        code = value == NULL ? put_error(self, fn) : put_value(self, value);
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

/* The writer may be writing still: each number is read once, and what they speak of is copied before it is looked at. */
static struct header read_header(const MappingObject *self)
{
    const struct header *header = (const struct header *)self->start;
    return (struct header){
        .count = __atomic_load_n(&header->count, __ATOMIC_RELAXED),
        .length = __atomic_load_n(&header->length, __ATOMIC_RELAXED),
        .kind = __atomic_load_n(&header->kind, __ATOMIC_ACQUIRE),
    };
}

PyObject *core_mapping_plain(const MappingObject *self)
{
    char copy[CORE_MOST_PLAIN_BYTES];
    struct header header = read_header(self);
    if (self->epoch != ramet_epoch() || header.kind != LAYOUT_PLAIN)
        return NULL;
    if (header.length > sizeof copy || header.length > self->size - DATA_AT)
        return PyErr_Format(PyExc_ValueError, "invalid result: expected a plain value of at most %zu bytes, got %llu",
                            sizeof copy, (unsigned long long)header.length);
    memcpy(copy, self->start + DATA_AT, header.length);
    return core_plain_read(copy, header.length);
}

static PyObject *mapping_plain(MappingObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *value = core_mapping_plain(self);
    return value == NULL && !PyErr_Occurred() ? Py_NewRef(Py_NotImplemented) : value;
}

bool core_mapping_goes_by_rights(const MappingObject *self)
{
    return self->trusted == Py_None;
}

bool core_mapping_needs_trust(const MappingObject *self)
{
    uint64_t kind = read_header(self).kind;
    return kind == LAYOUT_VALUE || kind == LAYOUT_RAISED || kind == LAYOUT_UNPREPARED;
}

static size_t pages_in_swap(size_t page)
{
    struct sysinfo info;
    return sysinfo(&info) < 0 ? 0 : (size_t)((info.totalswap - info.freeswap) * (uint64_t)info.mem_unit / page);
}

/*
 * To read what was never written makes the page, and so costs the reader memory that the writer never had. A
 * page that was written is in memory, or in swap.
 */
static PyObject *mapping_has_written(MappingObject *self, PyObject *number)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), length = PyLong_AsSize_t(number), absent = 0;
    if (length == (size_t)-1 && PyErr_Occurred())
        return NULL;
    if (length > self->size)
        Py_RETURN_FALSE;
    size_t count = (length + page - 1) / page;
    unsigned char *present = PyMem_Malloc(count + 1);
    if (present == NULL)
        return PyErr_NoMemory();
    int failed = mincore(self->start, length, present);
    for (size_t i = 0; failed == 0 && i < count; i++)
        absent += (present[i] & 1) == 0;
    PyMem_Free(present);
    return PyBool_FromLong(failed == 0 && absent <= pages_in_swap(page));
}

static PyObject *mapping_is_here(MappingObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->epoch == ramet_epoch());
}

static PyObject *mapping_trusted(MappingObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->trusted);
}

static PyGetSetDef mapping_properties[] = {
    {"is_here", (getter)mapping_is_here, NULL, "Whether it lies in this memory.", NULL},
    {"trusted", (getter)mapping_trusted, NULL, "What its maker has set: whether the child is trusted; None: by its rights.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef mapping_methods[] = {
    {"deliver", (PyCFunction)mapping_deliver, METH_VARARGS,
     "deliver($self, fn, args, /)\n--\n\nIn the child: calls fn(*args), writes down what came of it, and returns the exit code."},
    {"keep_from_others", (PyCFunction)mapping_keep_from_others, METH_NOARGS,
     "keep_from_others($self, /)\n--\n\nIn the parent: children that are made later do not get it."},
    {"has_written", (PyCFunction)mapping_has_written, METH_O,
     "has_written($self, length, /)\n--\n\nIn the parent: whether so many bytes from the beginning were written."},
    {"plain", (PyCFunction)mapping_plain, METH_NOARGS,
     "plain($self, /)\n--\n\nIn the parent: the value that the core wrote by itself, NotImplemented for any other."},
    {"share_with_others", (PyCFunction)mapping_share_with_others, METH_NOARGS,
     "share_with_others($self, /)\n--\n\nIn the parent: what goes on lying here is known to later children."},
    {NULL, NULL, 0, NULL},
};

static PyBufferProcs mapping_as_buffer = {(getbufferproc)mapping_buffer, NULL};

PyTypeObject Mapping_Type = {
    CORE_TYPE("Mapping", MappingObject, Py_TPFLAGS_BASETYPE),
    .tp_doc = "Mapping(size=0, /, *, trusted=None)\n--\n\n"
              "Memory that is shared with children made from now on; 0: as large as may be. trusted: whether to believe the\n"
              "child that writes there; None: by its rights.",
    .tp_new = mapping_new,
    .tp_dealloc = (destructor)mapping_dealloc,
    .tp_as_buffer = &mapping_as_buffer,
    .tp_getset = mapping_properties,
    .tp_methods = mapping_methods,
};
