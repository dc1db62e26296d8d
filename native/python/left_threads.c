/* The threads that a function in shared memory has started and left. */
#define _GNU_SOURCE
#include "clone_ways.h"

#include <errno.h>
#include <linux/sched.h>

#include "nested_hosts.h"
#include "proc_file.h"
#include "task_state.h"
#include "words.h"

/*
 * unshare(CLONE_THREAD) is refused to a task that is not alone in its thread group, and changes nothing for one that is.
 * A sandbox may refuse it to everybody.
 */
bool core_is_alone(void)
{
    long answer = ramet_syscall1(__NR_unshare, CLONE_THREAD);
    if (answer == 0 || answer == -EINVAL)
        return answer == 0;
    return ramet_task_threads(ramet_proc_number_of_process(ramet_syscall0(__NR_getpid), -1)) <= 1;
}

static bool set_native_id(PyObject *thread)
{
    PyObject *tid = PyLong_FromUnsignedLong(PyThread_get_thread_native_id()), *name = core_word(CORE_WORD_NATIVE_ID);
    bool done = tid != NULL && name != NULL && PyObject_SetAttr(thread, name, tid) == 0;
    Py_XDECREF(tid);
    return done;
}

PyObject *core_renew_native_id(PyObject *module, PyObject *thread)
{
    (void)module;
    return set_native_id(thread) ? Py_NewRef(Py_None) : NULL;
}

void core_name_thread(PyObject **thread)
{
    PyObject *class = core_named(CORE_TASK_THREAD), *active = core_named(CORE_ACTIVE_THREADS);
    if (*thread == NULL && class != NULL)
        *thread = PyObject_CallNoArgs(class);
    PyObject *ident = PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    if (*thread != NULL && active != NULL && ident != NULL && set_native_id(*thread))
        PyDict_SetItem(active, ident, *thread);
    Py_XDECREF(ident);
    PyErr_Clear(); /* it can do without */
}

void core_forget_thread(void)
{
    PyObject *active = core_named(CORE_ACTIVE_THREADS);
    PyObject *ident = active == NULL ? NULL : PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    if (ident != NULL && PyDict_Contains(active, ident) > 0)
        PyDict_DelItem(active, ident);
    Py_XDECREF(ident);
    PyErr_Clear();
}

void core_forget_thread_of(PyObject *thread)
{
    PyObject *active = core_named(CORE_ACTIVE_THREADS);
    PyObject *ident = thread == NULL || active == NULL ? NULL : PyObject_GetAttrString(thread, "_ident");
    if (ident != NULL && PyDict_GetItemWithError(active, ident) == thread)
        PyDict_DelItem(active, ident);
    Py_XDECREF(ident);
    PyErr_Clear();
}

bool core_ask_left_threads(enum core_name name, long pid)
{
    PyObject *function = core_named(name), *result = function == NULL ? NULL : PyObject_CallFunction(function, "l", pid);
    bool so = result == Py_True;
    Py_XDECREF(result);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(NULL);
    return so;
}

/* Also one that has come to its end, and has left Python: what it holds there would stay held for ever. */
bool core_outlived_by_threads(void)
{
    if (core_is_alone())
        return false;
    core_ask_left_threads(CORE_JOIN_THREADS, ramet_syscall0(__NR_getpid));
    return !core_is_alone();
}

PyObject *core_lends(PyObject *module, PyObject *tid)
{
    (void)module;
    long number = PyLong_AsLong(tid);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(ramet_is_nested_host((int)number));
}

void core_recover_threads(long pid)
{
    core_ask_left_threads(CORE_RECOVER_THREADS, pid);
}
