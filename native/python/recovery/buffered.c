/* The locks of buffered files, of which Python code sees nothing. */
#include "python_inside.h"

/* The words of the object itself. */
PyObject *core_words_of(PyObject *module, PyObject *object)
{
    (void)module;
    Py_ssize_t count = Py_TYPE(object)->tp_basicsize / (Py_ssize_t)sizeof(unsigned long);
    PyObject *words = PyTuple_New(count);
    for (Py_ssize_t i = 0; words != NULL && i < count; i++) {
        PyObject *word = PyLong_FromUnsignedLong(((const unsigned long *)object)[i]);
        if (word == NULL)
            Py_CLEAR(words);
        else
            PyTuple_SET_ITEM(words, i, word);
    }
    return words;
}

/* LEAVE_BUFFERED in Modules/_io/bufferedio.c: its lock is a pointer, and the owner the word behind it. */
static void leave(PyObject *file, Py_ssize_t owner)
{
    unsigned long *words = (unsigned long *)file;
    words[owner] = 0;
    PyThread_release_lock((PyThread_type_lock)words[owner - 1]);
}

PyObject *core_leave_buffered(PyObject *module, PyObject *args)
{
    PyObject *file;
    Py_ssize_t owner;
    (void)module;
    if (!PyArg_ParseTuple(args, "On:leave_buffered", &file, &owner))
        return NULL;
    leave(file, owner);
    Py_RETURN_NONE;
}

PyObject *core_is_locked(PyObject *module, PyObject *args)
{
    PyObject *file;
    Py_ssize_t owner;
    (void)module;
    if (!PyArg_ParseTuple(args, "On:is_locked", &file, &owner))
        return NULL;
    PyThread_type_lock lock = (PyThread_type_lock)((unsigned long *)file)[owner - 1];
    if (lock == NULL || !PyThread_acquire_lock(lock, NOWAIT_LOCK))
        return PyBool_FromLong(lock != NULL);
    PyThread_release_lock(lock);
    Py_RETURN_FALSE;
}

struct search {
    PyObject *kinds; /* a tuple of types */
    Py_ssize_t owner;
    unsigned long holder;
    PyObject *found; /* a list */
};

static bool is_of_a_kind(PyObject *object, PyObject *kinds)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kinds); i++)
        if (PyType_IsSubtype(Py_TYPE(object), (PyTypeObject *)PyTuple_GET_ITEM(kinds, i)))
            return true;
    return false;
}

/* The word first: there are many objects, and this one of them has that number there. */
static bool is_held(PyObject *object, const struct search *search)
{
    return Py_TYPE(object)->tp_basicsize > search->owner * (Py_ssize_t)sizeof(unsigned long) &&
           ((const unsigned long *)object)[search->owner] == search->holder && is_of_a_kind(object, search->kinds);
}

static bool look_at(PyObject *object, void *context)
{
    const struct search *search = context;
    if (is_held(object, search) && PyList_Append(search->found, object) < 0)
        PyErr_Clear();
    return true;
}

PyObject *core_held_by(PyObject *module, PyObject *args)
{
    struct search search;
    (void)module;
    if (!PyArg_ParseTuple(args, "kO!n:held_by", &search.holder, &PyTuple_Type, &search.kinds, &search.owner))
        return NULL;
    search.found = PyList_New(0);
    if (search.found != NULL)
        core_visit_tracked(look_at, &search);
    return search.found;
}

/* ---- those of threads that died with the child that had started them */

static struct search known; /* as ramet._function.recovery has found it out; kinds is NULL where it has not */

PyObject *core_know_buffered(PyObject *module, PyObject *args)
{
    (void)module;
    if (!PyArg_ParseTuple(args, "O!n:know_buffered", &PyTuple_Type, &known.kinds, &known.owner))
        return NULL;
    Py_INCREF(known.kinds);
    Py_RETURN_NONE;
}

static bool leave_held(PyObject *object, void *context)
{
    const struct search *search = context;
    if (is_held(object, search))
        leave(object, search->owner);
    return true;
}

void core_leave_buffered_of(unsigned long ident)
{
    struct search search = known;
    search.holder = ident;
    if (search.kinds != NULL)
        core_visit_tracked(leave_held, &search);
}
