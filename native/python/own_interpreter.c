#include "own_interpreter.h"

#define KEY "ramet._core" /* in the dictionary that an interpreter has for extensions */

static struct core_interpreter of_main; /* it stays to the end of the process */
static struct core_interpreter *of_last = &of_main;

static void forget(PyObject *capsule)
{
    struct core_interpreter *own = PyCapsule_GetPointer(capsule, NULL);
    if (of_last == own)
        of_last = &of_main;
    for (enum core_name name = 0; name < CORE_NAMES; name++)
        Py_XDECREF(own->found[name]);
    Py_XDECREF(own->exit_status);
    Py_XDECREF(own->end_slot);
    PyMem_RawFree(own);
}

/* A new reference; NULL with an exception set. */
static PyObject *new_capsule(int64_t number)
{
    struct core_interpreter *own = PyMem_RawCalloc(1, sizeof *own);
    PyObject *capsule = own == NULL ? PyErr_NoMemory() : PyCapsule_New(own, NULL, forget);
    if (capsule == NULL)
        PyMem_RawFree(own);
    else
        own->number = number;
    return capsule;
}

static struct core_interpreter *in_dictionary(PyObject *dictionary, PyObject *key, int64_t number)
{
    PyObject *capsule = Py_XNewRef(PyDict_GetItemWithError(dictionary, key));
    if (capsule == NULL && !PyErr_Occurred()) {
        capsule = new_capsule(number);
        if (capsule != NULL && PyDict_SetItem(dictionary, key, capsule) < 0)
            Py_CLEAR(capsule);
    }
    struct core_interpreter *own = capsule == NULL ? NULL : PyCapsule_GetPointer(capsule, NULL);
    Py_XDECREF(capsule);
    return own;
}

static struct core_interpreter *of_another(int64_t number)
{
    PyObject *dictionary = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *key = dictionary == NULL ? PyErr_NoMemory() : PyUnicode_FromString(KEY);
    struct core_interpreter *own = key == NULL ? NULL : in_dictionary(dictionary, key, number);
    Py_XDECREF(key);
    return own;
}

/* A main interpreter has the number of the one that ended before it, and nothing that this had found. */
bool core_begin_interpreter(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (PyInterpreterState_GetID(interpreter) != of_main.number)
        return true;
    PyObject *dictionary = PyInterpreterState_GetDict(interpreter);
    PyObject *key = dictionary == NULL ? PyErr_NoMemory() : PyUnicode_FromString(KEY);
    int began = key == NULL ? -1 : PyDict_Contains(dictionary, key);
    if (began == 0) {
        of_main = (struct core_interpreter){0}; /* the objects went with their interpreter */
        began = PyDict_SetItem(dictionary, key, Py_None);
    }
    Py_XDECREF(key);
    return began >= 0;
}

struct core_interpreter *core_own_interpreter(void)
{
    const int64_t number = PyInterpreterState_GetID(PyInterpreterState_Get());
    if (of_last->number != number) {
        struct core_interpreter *own = number == of_main.number ? &of_main : of_another(number);
        if (own == NULL)
            return NULL;
        of_last = own;
    }
    return of_last;
}
