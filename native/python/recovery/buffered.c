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

/* As ramet._function.recovery has found it out. */
static struct search {
    PyObject *kinds; /* a tuple of types; NULL: not known */
    Py_ssize_t owner; /* the word of a file in which it has its owner */
    unsigned long holder;
    PyObject *found; /* a list */
} known;

PyObject *core_know_buffered(PyObject *module, PyObject *args)
{
    (void)module;
    if (!PyArg_ParseTuple(args, "O!n:know_buffered", &PyTuple_Type, &known.kinds, &known.owner))
        return NULL;
    Py_INCREF(known.kinds);
    Py_RETURN_NONE;
}

/* Its lock is a pointer, before the word of the owner: as in Modules/_io/bufferedio.c. */
static PyThread_type_lock lock_of(PyObject *file)
{
    return (PyThread_type_lock)((unsigned long *)file)[known.owner - 1];
}

/* As LEAVE_BUFFERED does there. */
static void leave(PyObject *file)
{
    ((unsigned long *)file)[known.owner] = 0;
    PyThread_release_lock(lock_of(file));
}

static bool is_of_a_kind(PyObject *object)
{
    for (Py_ssize_t i = 0; known.kinds != NULL && i < PyTuple_GET_SIZE(known.kinds); i++)
        if (PyType_IsSubtype(Py_TYPE(object), (PyTypeObject *)PyTuple_GET_ITEM(known.kinds, i)))
            return true;
    return false;
}

PyObject *core_leave_buffered(PyObject *module, PyObject *file)
{
    (void)module;
    if (is_of_a_kind(file))
        leave(file);
    Py_RETURN_NONE;
}

PyObject *core_is_locked(PyObject *module, PyObject *file)
{
    (void)module;
    PyThread_type_lock lock = is_of_a_kind(file) ? lock_of(file) : NULL;
    if (lock == NULL || !PyThread_acquire_lock(lock, NOWAIT_LOCK))
        return PyBool_FromLong(lock != NULL);
    PyThread_release_lock(lock);
    Py_RETURN_FALSE;
}

/* The word first: there are many objects, and this one of them has that number there. */
static bool is_held(PyObject *object, const struct search *search)
{
    return Py_TYPE(object)->tp_basicsize > search->owner * (Py_ssize_t)sizeof(unsigned long) &&
           ((const unsigned long *)object)[search->owner] == search->holder && is_of_a_kind(object);
}

static bool add_held(PyObject *object, void *context)
{
    const struct search *search = context;
    if (is_held(object, search) && PyList_Append(search->found, object) < 0)
        PyErr_Clear();
    return true;
}

PyObject *core_held_by(PyObject *module, PyObject *ident)
{
    struct search search = known;
    (void)module;
    search.holder = PyLong_AsUnsignedLong(ident);
    search.found = PyErr_Occurred() ? NULL : PyList_New(0);
    if (search.found != NULL)
        core_visit_tracked(add_held, &search);
    return search.found;
}

static bool leave_held(PyObject *object, void *context)
{
    if (is_held(object, context))
        leave(object);
    return true;
}

void core_leave_buffered_of(unsigned long ident)
{
    struct search search = known;
    search.holder = ident;
    if (known.kinds != NULL)
        core_visit_tracked(leave_held, &search);
}
