#include "own_interpreter.h"

#include "own_types.h"
#include "words.h"

#define KEY "ramet._core" /* in the dictionary that an interpreter has for extensions */

static struct core_interpreter of_main; /* it stays to the end of the process */
static struct core_interpreter *of_last = &of_main;
static bool hears_of_end;

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

/* The objects went with their interpreters. */
static void forget_all(void)
{
    of_last = &of_main;
    of_main = (struct core_interpreter){0};
    core_forget_words();
    core_renew_types();
    hears_of_end = false;
}

/* Python has places for 32 such functions. Where all are taken, this Python must be the process's last. */
void core_hear_of_end(void)
{
    if (!hears_of_end)
        hears_of_end = Py_AtExit(forget_all) == 0;
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
