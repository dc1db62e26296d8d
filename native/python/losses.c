/* What a dead child took with it, as ramet.burial finds it. */
#include "births.h"

static PyObject *take_stock;

bool core_losses_ready(void)
{
    if (take_stock != NULL)
        return true;
    PyObject *module = PyImport_ImportModule("ramet.burial");
    take_stock = module == NULL ? NULL : PyObject_GetAttrString(module, "take_stock");
    Py_XDECREF(module);
    return take_stock != NULL || core_does_without();
}

static void tell(SharedTaskObject *task, PyObject *losses)
{
    if (task != NULL)
        Py_XSETREF(task->losses, Py_NewRef(losses));
}

/*
 * After a burial, with the GIL, in the thread whose identity the dead child had. own_identity: nobody
 * else has it. Whether a lock remains that knows its owner by it: the thread must then live on, or the
 * next to be given its identity would have that lock.
 */
bool core_take_stock(const struct core_dead_frames *found, SharedTaskObject *task, bool own_identity)
{
    if (found->frames == 0 || take_stock == NULL)
        return false;
    int stays = 0;
    PyObject *noted = core_noted_frames(found), *losses = NULL, *told = NULL;
    if (noted != NULL)
        told = PyObject_CallFunction(take_stock, "llOO", found->frames, found->references, noted,
                                     own_identity ? Py_True : Py_False);
    if (told != NULL && PyArg_ParseTuple(told, "Op", &losses, &stays))
        tell(task, losses);
    Py_XDECREF(told);
    Py_XDECREF(noted);
    PyErr_Clear();
    return stays != 0;
}

/* ---- the locks of buffered files, of which Python code sees nothing */

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
PyObject *core_leave_buffered(PyObject *module, PyObject *args)
{
    PyObject *file;
    Py_ssize_t owner;
    (void)module;
    if (!PyArg_ParseTuple(args, "On:leave_buffered", &file, &owner))
        return NULL;
    unsigned long *words = (unsigned long *)file;
    words[owner] = 0;
    PyThread_release_lock((PyThread_type_lock)words[owner - 1]);
    Py_RETURN_NONE;
}
