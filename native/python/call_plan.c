/*
 * The plans of most calls, without a function of Python's: src/ramet/_workers/in_call/plan_of_call.py carries out the others.
 */
#include "call_plan.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "plain_values.h"
#include "plan_object.h"
#include "words.h"

/* In this order, as src/ramet/_workers/crossing/call_messages.py writes them. */
#define ENTER 'e'
#define ANSWER 's'
#define NOT_LAST '+'
#define STEPS '=' /* all that follows */

#define STACK_SIGNAL (SIGRTMAX - 1) /* src/ramet/_limits/python_stack.py */

/* Where one was closed when the caller began, a stream is to be made. */
static bool has_streams(void)
{
    PyObject *out = PySys_GetObject("stdout"), *err = PySys_GetObject("stderr");
    return out != NULL && err != NULL && out != Py_None && err != Py_None;
}

bool core_read_call_plan(const char *text, size_t length, struct core_call_plan *plan)
{
    const char *end = text + length;
    *plan = (struct core_call_plan){.last = true};
    for (; text < end && *text == ENTER; text++)
        plan->entries++;
    if (text < end && *text == ANSWER)
        plan->stack = *text++ == ANSWER;
    for (; text < end && plan->stream_count < CORE_MOST_STREAMS && *text >= '0' && *text <= '0' + STDERR_FILENO; text++)
        plan->streams[plan->stream_count++] = *text - '0';
    if (text < end && *text == NOT_LAST)
        plan->last = *text++ != NOT_LAST;
    if (text < end && *text == STEPS) {
        plan->steps = text + 1;
        plan->length = (size_t)(end - plan->steps);
        text = end;
    }
    return text == end && (plan->stream_count == 0 || has_streams());
}

int core_descriptors_of_plan(const struct core_call_plan *plan)
{
    return plan->entries + plan->stack + plan->stream_count;
}

static bool enter(int entry)
{
    bool entered = write(entry, "0", 1) == 1;
    if (!entered)
        PyErr_SetFromErrno(PyExc_OSError);
    close(entry);
    return entered;
}

/* As answer_stack_requests() does. */
static bool answer_requests(int file)
{
    sigset_t one;
    PyObject *fn = core_imported(CORE_WORD_FAULTHANDLER, CORE_WORD_REGISTER);
    if (fn == NULL && !PyErr_Occurred())
        PyErr_SetString(PyExc_ImportError, "faulthandler has not been imported");
    PyObject *done = fn == NULL ? NULL : PyObject_CallFunction(fn, "ii", STACK_SIGNAL, file);
    Py_XDECREF(fn);
    Py_XDECREF(done);
    sigemptyset(&one);
    sigaddset(&one, STACK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    return done != NULL;
}

static bool put_streams(const struct core_call_plan *plan, const int *files)
{
    for (int i = 0; i < plan->stream_count; i++) {
        if (dup2(files[i], plan->streams[i]) < 0) {
            PyErr_SetFromErrno(PyExc_OSError);
            return false;
        }
        close(files[i]);
    }
    return true;
}

/* Two tuples: the operations, and for each its label and the file that it is about. */
static bool are_steps(PyObject *steps)
{
    return PyTuple_CheckExact(steps) && PyTuple_GET_SIZE(steps) == 2 && PyTuple_CheckExact(PyTuple_GET_ITEM(steps, 0)) &&
           PyTuple_CheckExact(PyTuple_GET_ITEM(steps, 1)) &&
           PyTuple_GET_SIZE(PyTuple_GET_ITEM(steps, 0)) == PyTuple_GET_SIZE(PyTuple_GET_ITEM(steps, 1));
}

PyObject *core_steps_of_plan(const struct core_call_plan *plan)
{
    if (plan->length == 0)
        return Py_NewRef(Py_None);
    PyObject *steps = core_plain_read(plan->steps, plan->length);
    if (steps != NULL && !are_steps(steps)) {
        PyErr_SetString(PyExc_ValueError, "invalid steps of a call: expected two tuples of one length");
        Py_CLEAR(steps);
    }
    return steps;
}

static PyObject *carry_out_steps(PyObject *steps)
{
    PyObject *plan = core_plan_of(PyTuple_GET_ITEM(steps, 0));
    if (plan == NULL)
        return NULL;
    int step, error;
    bool done = core_do_plan(((PlanObject *)plan)->plan, &step, &error);
    Py_DECREF(plan);
    if (!done)
        return PyErr_NoMemory();
    if (step < 0)
        return Py_NewRef(Py_None);
    PyObject *label, *file;
    if (!PyArg_ParseTuple(PyTuple_GET_ITEM(PyTuple_GET_ITEM(steps, 1), step), "OO:label", &label, &file))
        return NULL;
    return Py_BuildValue("OiO", label, error, file);
}

PyObject *core_carry_out_plan(const struct core_call_plan *plan, PyObject *steps, const int *descriptors)
{
    for (int i = 0; i < plan->entries; i++)
        if (!enter(*descriptors++))
            return NULL;
    if (plan->stack && !answer_requests(*descriptors++))
        return NULL;
    if (!put_streams(plan, descriptors))
        return NULL;
    return steps == Py_None ? Py_NewRef(steps) : carry_out_steps(steps);
}
