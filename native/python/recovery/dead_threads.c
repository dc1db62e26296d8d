/* What Python keeps of a thread that died within a function. */
#include "python_inside.h"

#include "libc_thread.h"

/*
 * What is to be joined at the end of the interpreter is in a ring, as Modules/_threadmodule.c has it
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
 * The state of a thread that died is never deleted. A tracer goes through the frames of all
 * states, and the last of them lies on the thread's stack: which is another's soon, since glibc 2.43 takes
 * such a thread for one that has ended. And since 3.15 the end of the interpreter goes on until no state is left
 * of a thread that threading has started and that is no daemon (the names of these numbers are internal).
 */
static void leave_stack(PyThreadState *state)
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

static void leave_stacks(unsigned long ident)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; state != NULL; state = PyThreadState_Next(state))
        if (state->thread_id == ident)
            leave_stack(state);
}

PyObject *core_leave_shutdown(PyObject *module, PyObject *args)
{
    PyObject *object;
    unsigned long ident;
    (void)module;
    if (!PyArg_ParseTuple(args, "Ok:leave_shutdown", &object, &ident))
        return NULL;
    struct thread_handle *handle = ((struct handle_object *)object)->handle;
    if (core_recovery_switch() == NULL) {
        if (handle->ident == ident)
            step_out(&handle->shutdown);
        leave_stacks(ident);
    }
    Py_RETURN_NONE;
}

/*
 * threading lists each thread until it is about to end: while it is listed, what libc keeps of it is there,
 * at the top of its stack. So this is one step, in which no other thread runs; and who waited for a lock is
 * off the list of those who wait before libc gives its stack to another.
 */
PyObject *core_forget_thread_of_dead(PyObject *module, PyObject *args)
{
    PyObject *list, *key, *thread;
    unsigned long ident;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!OOk:forget_dead", &PyDict_Type, &list, &key, &thread, &ident))
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
