/* ramet._core.close: the last that the interpreter does with children in shared memory, before they are killed one by one. */
#include "end_of_sharing.h"

#include <time.h>

#include "clone_ways.h"
#include "epoch.h"
#include "suspended_callers.h"

#define PAUSE_NANOSECONDS 100000
#define MOST_PAUSES 50000 /* some five seconds: a thread that is suspended by a thread cannot be helped */

static bool closed;

/* Calls of this process: a fork copies no threads. */
static int *underway;

static void __attribute__((constructor)) map_underway(void)
{
    static int of_all;
    underway = ramet_wiped_on_fork(sizeof *underway);
    if (underway == NULL)
        underway = &of_all;
}

bool core_may_begin_sharing(bool *counted)
{
    if (closed && !core_is_main_thread()) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter ends, and only its main thread makes children");
        return false;
    }
    ramet_epoch(); /* its owner asks first */
    *counted = ramet_owns_memory();
    if (*counted)
        __atomic_add_fetch(underway, 1, __ATOMIC_RELAXED);
    return true;
}

void core_has_shared(bool counted)
{
    if (counted)
        __atomic_sub_fetch(underway, 1, __ATOMIC_RELEASE);
}

bool core_list_sharer(const struct core_request *request)
{
    PyObject *add = core_named(CORE_ADD_SHARER);
    PyObject *flags = PyLong_FromUnsignedLongLong(request->kernel.args.flags);
    PyObject *answer = add == NULL || flags == NULL ? NULL : PyObject_CallFunctionObjArgs(add, request->task, flags, NULL);
    bool listed = answer != NULL || (add == NULL && flags != NULL);
    Py_XDECREF(flags);
    Py_XDECREF(answer);
    return listed;
}

PyObject *core_close(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    closed = true;
    for (int i = 0; i < MOST_PAUSES && __atomic_load_n(underway, __ATOMIC_ACQUIRE) > 0; i++) {
        core_kill_suspending();
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}
