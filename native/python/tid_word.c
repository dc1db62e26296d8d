/* ramet.lowlevel.TidWord */
#include "core.h"

#include "futex.h"

static PyObject *word_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"value", NULL};
    PyObject *given = NULL;
    int value = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:TidWord", names, &given) ||
        (given != NULL && !core_read_int("value", given, &value)))
        return NULL;
    TidWordObject *self = (TidWordObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->word = ramet_word_new();
    if (self->word == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->word->value = value;
    return (PyObject *)self;
}

static void word_dealloc(TidWordObject *self)
{
    if (self->word != NULL)
        ramet_word_release(self->word);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *word_value(TidWordObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(__atomic_load_n(&self->word->value, __ATOMIC_ACQUIRE));
}

static PyObject *word_address(TidWordObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(&self->word->value);
}

static PyObject *word_repr(TidWordObject *self)
{
    return PyUnicode_FromFormat("<TidWord %d at %p>", self->word->value, (void *)&self->word->value);
}

static PyObject *word_wait(TidWordObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    PyObject *seconds = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:wait", names, &seconds))
        return NULL;
    return core_wait_until(seconds, &self->word->value, 0);
}

static PyGetSetDef word_members[] = {
    {"value", (getter)word_value, NULL, "what the word holds now", NULL},
    {"address", (getter)word_address, NULL, "where it lies; the kernel is given this", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(word_wait_doc, "wait($self, timeout=None)\n--\n\n"
"Sleeps until the word is 0, as CHILD_CLEARTID makes it when the child execs or ends.\n"
"\n"
"timeout is in seconds, None is for ever. Returns True when the word is 0, False when the time is up.\n"
"\n"
"Source: futex(2) FUTEX_WAIT, set_tid_address(2).");

static PyMethodDef word_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))word_wait, METH_VARARGS | METH_KEYWORDS, word_wait_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(word_doc, "TidWord(value=0)\n--\n\n"
"A word of memory for the kernel to write a tid into: ptid and ctid of clone(2).\n"
"\n"
"It outlives this object while a task may still write it.\n"
"\n"
"Source: clone(2), set_tid_address(2).");

PyTypeObject TidWord_Type = {
    CORE_TYPE("TidWord", TidWordObject, 0),
    .tp_doc = word_doc,
    .tp_new = word_new,
    .tp_dealloc = (destructor)word_dealloc,
    .tp_repr = (reprfunc)word_repr,
    .tp_getset = word_members,
    .tp_methods = word_methods,
};
