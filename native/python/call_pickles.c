/*
 * Calls and results that are pickles, without a function of Python's between: in a new clone the two dozen of them that would do
 * it write to as many pages as all of a plain call does, and those are copied. What is more than a pickle stays Python's:
 * src/ramet/_workers/crossing/pickling.py.
 */
#define _GNU_SOURCE
#include "call_pickles.h"

#include "words.h"

#define PROTOCOL 5
#define FIRST_OF_PICKLE '\x80' /* of protocol 2 and later: src/ramet/_workers/crossing/pickling.py */

static bool reads_now; /* see core_reads_call() */

PyObject *core_reads_call(PyObject *module, PyObject *args)
{
    (void)module, (void)args;
    return PyBool_FromLong(reads_now);
}

PyObject *core_note_reading(PyObject *module, PyObject *is_reading)
{
    (void)module;
    bool before = reads_now;
    reads_now = PyObject_IsTrue(is_reading) > 0;
    return PyBool_FromLong(before);
}

bool core_is_pickled(const char *call, size_t length)
{
    return length > 0 && *call == FIRST_OF_PICKLE;
}

/* Calls it with one argument by name, the last, besides. */
static PyObject *call_with(PyObject *fn, PyObject *const *args, size_t count, enum core_word last)
{
    PyObject *word = core_word(last), *names = word == NULL ? NULL : PyTuple_Pack(1, word);
    PyObject *value = names == NULL ? NULL : PyObject_Vectorcall(fn, args, count - 1, names);
    Py_XDECREF(names);
    return value;
}

/* ---- calls */

/* parts: of the message, the plan first. */
static PyObject *loaded(PyObject *loads, PyObject *parts)
{
    PyObject *buffers = PyTuple_GetSlice(parts, 2, PyTuple_GET_SIZE(parts));
    PyObject *call = NULL;
    if (buffers != NULL)
        call = call_with(loads, (PyObject *[]){PyTuple_GET_ITEM(parts, 1), buffers}, 2, CORE_WORD_BUFFERS);
    Py_XDECREF(buffers);
    return call;
}

static bool is_call(PyObject *call)
{
    if (PyTuple_CheckExact(call) && PyTuple_GET_SIZE(call) == 2 && PyTuple_CheckExact(PyTuple_GET_ITEM(call, 1)))
        return true;
    PyErr_SetString(PyExc_ValueError, "expected a function and its arguments");
    return false;
}

/* What the function makes of it by pickle.loads(). */
static PyObject *read_by(PyObject *(*make)(PyObject *, PyObject *), PyObject *what)
{
    bool before = reads_now;
    PyObject *loads = core_imported(CORE_WORD_PICKLE, CORE_WORD_LOADS);
    if (loads == NULL)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ImportError, "_pickle has not been imported");
    reads_now = true;
    PyObject *made = make(loads, what);
    reads_now = before;
    Py_DECREF(loads);
    return made;
}

PyObject *core_read_pickled_call(PyObject *parts)
{
    PyObject *call = read_by(loaded, parts);
    if (call != NULL && !is_call(call))
        Py_CLEAR(call);
    return call;
}

PyObject *core_read_pickled_function(PyObject *pickle)
{
    return read_by(PyObject_CallOneArg, pickle);
}

/* ---- results */

/* What it names is another's in the caller, or a descriptor: Python pickles it in another way, or says why it does not. */
static bool names_what_stays(PyObject *pickle)
{
    static const char *const stays[] = {"__main__", "multiprocessing.connection"};
    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++)
        if (memmem(PyBytes_AS_STRING(pickle), (size_t)PyBytes_GET_SIZE(pickle), stays[i], strlen(stays[i])) != NULL)
            return true;
    return false;
}

/* Whether tensors may be among the values, which Python pickles: src/ramet/_process/tensors.py. */
static bool has_tensors(void)
{
    PyObject *modules = PyImport_GetModuleDict(), *torch = core_word(CORE_WORD_TORCH);
    return torch == NULL || !PyDict_CheckExact(modules) || PyDict_Contains(modules, torch) != 0;
}

/* The pickle of the value, and in the list what lies outside of it. NULL with an exception set, or without one. */
static PyObject *dumped(PyObject *value, PyObject *buffers)
{
    PyObject *dumps = core_imported(CORE_WORD_PICKLE, CORE_WORD_DUMPS), *protocol = PyLong_FromLong(PROTOCOL);
    PyObject *keep = PyObject_GetAttr(buffers, core_word(CORE_WORD_APPEND)), *pickle = NULL;
    if (dumps != NULL && protocol != NULL && keep != NULL)
        pickle = call_with(dumps, (PyObject *[]){value, protocol, keep}, 3, CORE_WORD_BUFFER_CALLBACK);
    Py_XDECREF(keep);
    Py_XDECREF(protocol);
    Py_XDECREF(dumps);
    return pickle;
}

/* The pickle and its buffers as plain bytes. */
static PyObject *parts_of(PyObject *pickle, PyObject *buffers)
{
    PyObject *raw = core_word(CORE_WORD_RAW), *parts = raw == NULL ? NULL : PyTuple_New(1 + PyList_GET_SIZE(buffers));
    if (parts == NULL)
        return NULL;
    PyTuple_SET_ITEM(parts, 0, Py_NewRef(pickle));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(buffers); i++) {
        PyObject *view = PyObject_CallMethodNoArgs(PyList_GET_ITEM(buffers, i), raw);
        if (view == NULL) {
            Py_DECREF(parts);
            return NULL;
        }
        PyTuple_SET_ITEM(parts, 1 + i, view);
    }
    return parts;
}

PyObject *core_pickled_parts(PyObject *value)
{
    PyObject *buffers = has_tensors() ? NULL : PyList_New(0), *pickle = buffers == NULL ? NULL : dumped(value, buffers);
    PyObject *parts = pickle == NULL || names_what_stays(pickle) ? NULL : parts_of(pickle, buffers);
    Py_XDECREF(pickle);
    Py_XDECREF(buffers);
    return parts;
}

int core_send_pickled(ChannelObject *channel, uint8_t kind, PyObject *value, PyObject **unsent)
{
    PyObject *parts = core_pickled_parts(value);
    PyErr_Clear(); /* Python pickles it again, and says why it cannot */
    int sent = parts == NULL ? 0 : core_channel_send_inline(channel, kind, parts);
    *unsent = sent == 0 ? Py_XNewRef(parts) : NULL;
    Py_XDECREF(parts);
    return sent;
}
