/* ramet._core.close: the last that the interpreter does with children in shared memory, before they are killed one by one. */
#include "end_of_sharing.h"

#include <time.h>

#include "clone_ways.h"
#include "epoch.h"
#include "safe_kill.h"

#define PAUSE_NANOSECONDS 100000
#define MOST_PAUSES 50000 /* some five seconds: a thread that is suspended by a thread cannot be helped */

static bool closed;

/* Of this process: a fork copies no threads. */
static struct underway {
    int calls;
    struct core_suspended *suspended;
} *underway;

static void __attribute__((constructor)) make_underway(void)
{
    static struct underway of_all;
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
        __atomic_add_fetch(&underway->calls, 1, __ATOMIC_RELAXED);
    return true;
}

void core_has_shared(bool counted)
{
    if (counted)
        __atomic_sub_fetch(&underway->calls, 1, __ATOMIC_RELEASE);
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

void core_note_suspended(struct core_suspended *caller, const int *pid)
{
    caller->pid = pid;
    if (!ramet_owns_memory())
        return;
    caller->next = underway->suspended;
    underway->suspended = caller;
}

void core_forget_suspended(struct core_suspended *caller)
{
    for (struct core_suspended **link = &underway->suspended; *link != NULL; link = &(*link)->next)
        if (*link == caller) {
            *link = caller->next;
            return;
        }
}

/* Its caller reaps it, but for that goes on first: while it has not, the pid is no other's. */
static void kill_child(const struct core_suspended *caller)
{
    const int *word = __atomic_load_n(&caller->pid, __ATOMIC_ACQUIRE);
    int pid = word == NULL ? 0 : __atomic_load_n(word, __ATOMIC_ACQUIRE);
    int pidfd = pid > 0 ? (int)ramet_syscall2(__NR_pidfd_open, pid, 0) : -1;
    if (pid > 0 && __atomic_load_n(&caller->pid, __ATOMIC_ACQUIRE) != NULL)
        ramet_kill_sharer(pid, pidfd, core_remove_waiter, NULL);
    if (pidfd >= 0)
        ramet_syscall1(__NR_close, pidfd);
}

PyObject *core_close(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    closed = true;
    for (int i = 0; i < MOST_PAUSES && __atomic_load_n(&underway->calls, __ATOMIC_ACQUIRE) > 0; i++) {
        for (const struct core_suspended *each = underway->suspended; each != NULL; each = each->next)
            kill_child(each);
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}
