/* The threads that a function in shared memory has started and left. */
#define _GNU_SOURCE
#include "clone_ways.h"
#include "collector.h"

#include <errno.h>
#include <linux/sched.h>

#include "libc_thread.h"
#include "nested_hosts.h"
#include "task_state.h"

/*
 * To leave the thread group is refused to whoever is not alone in it, and changes nothing for who is.
 * A sandbox may refuse it to everybody.
 */
bool core_is_alone(void)
{
    long answer = ramet_syscall1(__NR_unshare, CLONE_THREAD);
    if (answer == 0 || answer == -EINVAL)
        return answer == 0;
    return ramet_task_threads(ramet_syscall0(__NR_getpid)) <= 1;
}

static PyObject *left_threads, *active;

/* An interpreter that ends imports nothing any more. All else is the caller's: a handler of a signal may have raised it. */
bool core_does_without(void)
{
    if (!PyErr_ExceptionMatches(PyExc_ImportError))
        return false;
    PyErr_Clear();
    return true;
}

bool core_threads_ready(void)
{
    if (left_threads != NULL)
        return true;
    PyObject *module = PyImport_ImportModule("ramet._function.left_threads");
    active = module == NULL ? NULL : PyObject_GetAttrString(module, "_active");
    if (active == NULL)
        Py_CLEAR(module);
    left_threads = module;
    return left_threads != NULL || core_does_without();
}

void core_name_thread(PyObject **thread)
{
    if (*thread == NULL && left_threads != NULL)
        *thread = PyObject_CallMethod(left_threads, "TaskThread", NULL);
    PyObject *ident = PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    PyObject *tid = PyLong_FromUnsignedLong(PyThread_get_thread_native_id());
    if (*thread != NULL && ident != NULL && tid != NULL && PyObject_SetAttrString(*thread, "_native_id", tid) == 0)
        PyDict_SetItem(active, ident, *thread);
    Py_XDECREF(ident);
    Py_XDECREF(tid);
    PyErr_Clear(); /* it can do without */
}

void core_forget_thread(void)
{
    PyObject *ident = active == NULL ? NULL : PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    if (ident != NULL && PyDict_Contains(active, ident) > 0)
        PyDict_DelItem(active, ident);
    Py_XDECREF(ident);
    PyErr_Clear();
}

void core_forget_thread_of(PyObject *thread)
{
    PyObject *ident = thread == NULL || active == NULL ? NULL : PyObject_GetAttrString(thread, "_ident");
    if (ident != NULL && PyDict_GetItemWithError(active, ident) == thread)
        PyDict_DelItem(active, ident);
    Py_XDECREF(ident);
    PyErr_Clear();
}

bool core_ask_left_threads(const char *function, long pid)
{
    PyObject *result = left_threads == NULL ? NULL : PyObject_CallMethod(left_threads, function, "l", pid);
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
    core_ask_left_threads("join", ramet_syscall0(__NR_getpid));
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
    core_ask_left_threads("recover", pid);
}

/*
 * Who is to be joined at the end of the interpreter stands in a ring, as Modules/_threadmodule.c has it
 * since 3.13:
 *
 *     typedef struct { struct llist_node node, shutdown_node; PyThread_ident_t ident; ... } ThreadHandle;
 *
 * Only the thread itself steps out of it, at its end, with the GIL. Who died is taken out here, if all is as it was.
 */
struct link {
    struct link *next, *before;
};

struct thread_handle {
    struct link all, shutdown;
    unsigned long ident;
};

struct handle_object {
    PyObject_HEAD
    struct thread_handle *handle;
};

static void step_out(struct link *link)
{
    if (link->next == NULL || link->next->before != link || link->before->next != link)
        return;
    link->next->before = link->before;
    link->before->next = link->next;
    link->next = link->before = NULL;
}

/*
 * Nobody deletes the state of a thread that died. Who has code traced goes through the frames of all
 * states, and the last of them lies on the thread's stack: which is another's soon, since glibc 2.43 takes
 * such a thread for one that has ended. And since 3.15 the end of the interpreter goes on until no state is left
 * of a thread that threading has started and that is no daemon (the names of these numbers are internal).
 */
static void settle_state(PyThreadState *state)
{
    (void)state;
#if PY_VERSION_HEX >= 0x030d0000
    state->current_frame = NULL;
#endif
#if PY_VERSION_HEX >= 0x030f0000
    enum { OF_THREADING = 3, OF_DAEMONS = 6 };
    if (state->_whence == OF_THREADING)
        state->_whence = OF_DAEMONS;
#endif
}

static void settle_states(unsigned long ident)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; state != NULL; state = PyThreadState_Next(state))
        if (state->thread_id == ident)
            settle_state(state);
}

PyObject *core_leave_shutdown(PyObject *module, PyObject *args)
{
    PyObject *object;
    unsigned long ident;
    (void)module;
    if (!PyArg_ParseTuple(args, "Ok:leave_shutdown", &object, &ident))
        return NULL;
    struct thread_handle *handle = ((struct handle_object *)object)->handle;
    if (handle->ident == ident)
        step_out(&handle->shutdown);
    settle_states(ident);
    Py_RETURN_NONE;
}

/*
 * threading lists each thread until it is about to end: while it is listed, what libc keeps of it is there,
 * at the top of its stack. So this is one step, in which no other thread runs; and who waited for a lock is
 * off the list of those who wait before libc gives its stack to another.
 */
PyObject *core_strike_dead(PyObject *module, PyObject *args)
{
    PyObject *list, *key, *thread;
    unsigned long ident;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!OOk:strike_dead", &PyDict_Type, &list, &key, &thread, &ident))
        return NULL;
    if (PyDict_GetItemWithError(list, key) != thread || !ramet_thread_has_ended(ident))
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_False);
    struct core_dead_stack stack;
    core_keep_stack(&stack, ident);
    core_leave_collector(&stack);
    core_forget_stack(&stack);
    core_leave_buffered_of(ident);
    return PyDict_DelItem(list, key) < 0 ? NULL : Py_NewRef(Py_True);
}
