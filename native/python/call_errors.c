/*
 * What the function of a call has raised, as a pickle and its frames, without a function of Python's: see call_pickles.c. What
 * is told in another way stays Python's: src/ramet/_process/traceback_parts.py, which tells the same of it.
 */
#include "call_errors.h"

#include "call_pickles.h"
#include "plain_values.h"
#include "words.h"

#define MOST_FRAMES 100 /* as traceback_parts.py */
#define OURS "ramet."   /* with which the names of its modules begin: src/ramet/_process/result_layout.py */

/* ---- its frames */

/* The name of the module whose code it runs. NULL, maybe with an exception set. */
static PyObject *module_of(const PyTracebackObject *at)
{
    PyObject *globals = PyFrame_GetGlobals(at->tb_frame), *word = core_word(CORE_WORD_NAME);
    PyObject *name = word == NULL ? NULL : PyDict_GetItemWithError(globals, word);
    Py_XINCREF(name);
    Py_DECREF(globals);
    if (name != NULL && !PyUnicode_CheckExact(name))
        Py_CLEAR(name);
    return name;
}

static bool is_ours(const PyTracebackObject *at)
{
    PyObject *module = module_of(at);
    Py_ssize_t length = 0;
    const char *text = module == NULL ? NULL : PyUnicode_AsUTF8AndSize(module, &length);
    bool is = text != NULL && strncmp(text, OURS, strlen(OURS)) == 0;
    Py_XDECREF(module);
    PyErr_Clear();
    return is;
}

/* Without ours, that have called the function; all of them where there are no others. */
static const PyTracebackObject *without_callers(PyObject *traceback)
{
    const PyTracebackObject *all = (const PyTracebackObject *)traceback, *at = all;
    while (at != NULL && is_ours(at))
        at = at->tb_next;
    return at == NULL ? all : at;
}

static PyObject *or_none(int number)
{
    return number < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(number);
}

/* File, line, function and module; the last line, and the columns. */
static PyObject *frame_of(const PyTracebackObject *at)
{
    int line, column, last_line, last_column;
    PyCodeObject *code = PyFrame_GetCode(at->tb_frame);
    if (at->tb_lasti < 0 || !PyCode_Addr2Location(code, at->tb_lasti, &line, &column, &last_line, &last_column))
        column = last_line = last_column = -1;
    PyObject *word = core_word(CORE_WORD_LINE_OF_FRAME), *shown = word == NULL ? NULL : PyObject_GetAttr((PyObject *)at, word);
    PyObject *module = module_of(at), *frame = NULL;
    if (shown != NULL && module != NULL)
        frame = Py_BuildValue("OOOONNN", code->co_filename, shown, code->co_name, module, or_none(last_line), or_none(column),
                              or_none(last_column));
    Py_XDECREF(module);
    Py_XDECREF(shown);
    Py_DECREF(code);
    return frame;
}

static bool append_frames(PyObject *frames, const PyTracebackObject *at)
{
    for (; at != NULL; at = at->tb_next) {
        PyObject *frame = PyList_GET_SIZE(frames) < MOST_FRAMES ? frame_of(at) : NULL;
        if (frame == NULL || PyList_Append(frames, frame) < 0) {
            Py_XDECREF(frame);
            return false;
        }
        Py_DECREF(frame);
    }
    return true;
}

static PyObject *frames_of(PyObject *error)
{
    PyObject *traceback = PyException_GetTraceback(error), *frames = PyList_New(0), *found = NULL;
    if (frames != NULL && append_frames(frames, without_callers(traceback)))
        found = PyList_AsTuple(frames);
    Py_XDECREF(frames);
    Py_XDECREF(traceback);
    return found;
}

/* ---- what else is told of it */

/* Whether Python tells more of it than frames and message: where a text is wrong, what it came from. */
static bool has_more(PyObject *error)
{
    PyObject *const kinds[] = {PyExc_SyntaxError, PyExc_NameError, PyExc_AttributeError, PyExc_ImportError, PyExc_BaseExceptionGroup};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (PyObject_TypeCheck(error, (PyTypeObject *)kinds[i]))
            return true;
    const PyBaseExceptionObject *self = (const PyBaseExceptionObject *)error;
    return self->cause != NULL || (self->context != NULL && !self->suppress_context);
}

/* The name of its type, with the module's. NULL, maybe with an exception set. */
static PyObject *name_of(PyTypeObject *kind)
{
    PyObject *word = core_word(CORE_WORD_MODULE), *home = word == NULL ? NULL : PyObject_GetAttr((PyObject *)kind, word);
    PyObject *name = home != NULL && PyUnicode_CheckExact(home) ? PyType_GetQualName(kind) : NULL;
    if (name != NULL && PyUnicode_CompareWithASCIIString(home, "builtins") != 0)
        Py_SETREF(name, PyUnicode_FromFormat("%U.%U", home, name));
    Py_XDECREF(home);
    return name;
}

static PyObject *notes_of(PyObject *error)
{
    PyObject *word = core_word(CORE_WORD_NOTES), *notes = word == NULL ? NULL : PyObject_GetAttr(error, word);
    PyErr_Clear(); /* it has none */
    PyObject *found = notes != NULL && PyList_CheckExact(notes) ? PyList_AsTuple(notes) : PyTuple_New(0);
    Py_XDECREF(notes);
    return found;
}

/* As core_plain_write() writes it. NULL, maybe with an exception set. */
static PyObject *told_of(PyObject *error)
{
    PyObject *name = name_of(Py_TYPE(error)), *message = name == NULL ? NULL : PyObject_Str(error);
    PyObject *notes = message == NULL ? NULL : notes_of(error), *frames = notes == NULL ? NULL : frames_of(error);
    PyObject *told = frames == NULL ? NULL : PyTuple_Pack(4, name, message, notes, frames);
    PyObject *written = told == NULL ? NULL : core_plain_bytes(NULL, told);
    Py_XDECREF(told);
    Py_XDECREF(frames);
    Py_XDECREF(notes);
    Py_XDECREF(message);
    Py_XDECREF(name);
    if (written == Py_None)
        Py_CLEAR(written);
    return written;
}

/* ---- the message */

/* What was told, and its pickle without the traceback. NULL, maybe with an exception set. */
static PyObject *parts_of(PyObject *error, PyObject *told)
{
    PyObject *head = PyTuple_Pack(1, told), *pickled = head == NULL ? NULL : core_pickled_parts(error);
    PyObject *parts = pickled == NULL ? NULL : PySequence_Concat(head, pickled);
    Py_XDECREF(pickled);
    Py_XDECREF(head);
    return parts;
}

int core_send_error(ChannelObject *channel, PyObject *error)
{
    PyObject *told = has_more(error) ? NULL : told_of(error);
    PyErr_Clear(); /* Python finds it again, and tells what it can */
    if (told == NULL)
        return 0;
    PyObject *traceback = PyException_GetTraceback(error);
    PyException_SetTraceback(error, Py_None);
    PyObject *parts = parts_of(error, told);
    PyErr_Clear(); /* and pickles it again */
    int sent = parts == NULL ? 0 : core_channel_send_inline(channel, CORE_TRACED, parts);
    if (sent == 0)
        PyException_SetTraceback(error, traceback == NULL ? Py_None : traceback);
    Py_XDECREF(parts);
    Py_XDECREF(traceback);
    Py_DECREF(told);
    return sent;
}
