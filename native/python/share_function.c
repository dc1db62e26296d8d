/* ramet._core.share: a function in a child in shared memory; and close, after which threads make none. */
#include <linux/sched.h>
#include <time.h>

#include "clone_ways.h"
#include "dumpable.h"
#include "handle.h"
#include "epoch.h"
#include "left_open.h"
#include "plan_object.h"

/* set_tid: an array of pids or None. */
static bool read_pids(struct ramet_clone_args *args, PyObject *set_tid, Py_buffer *pids)
{
    if (set_tid == Py_None)
        return true;
    if (PyObject_GetBuffer(set_tid, pids, PyBUF_SIMPLE) < 0)
        return false;
    args->set_tid = (uintptr_t)pids->buf;
    args->set_tid_size = (uint64_t)pids->len / sizeof(pid_t);
    return true;
}

/* What is lent cannot be resized or freed until it is given back. */
static bool lend_memory(SharedTaskObject *task, PyObject *owners)
{
    task->views = PyMem_Calloc((size_t)PyTuple_GET_SIZE(owners) + 1, sizeof *task->views);
    if (task->views == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (; task->view_count < PyTuple_GET_SIZE(owners); task->view_count++)
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(owners, task->view_count), &task->views[task->view_count],
                               PyBUF_FULL_RO) < 0)
            return false;
    return true;
}

static bool prepare_subinterpreter(SharedTaskObject *task, PyObject *code, PyObject *owners, PyObject *plan)
{
    /* The threads in which interpreters are made have no GIL, and would die wherever they stand with who made them. */
    if (ramet_epoch() != 0 && !ramet_owns_memory()) {
        PyErr_SetString(PyExc_RuntimeError, "a child in shared memory makes no interpreters: its caller can");
        return false;
    }
    if (!PyBytes_Check(code) || (plan != Py_None && !PyObject_TypeCheck(plan, &Plan_Type))) {
        PyErr_SetString(PyExc_TypeError, "code must be bytes, and plan a Plan or None");
        return false;
    }
    task->own_interpreter = true;
    task->fn = Py_NewRef(code);
    task->plan = plan == Py_None ? NULL : Py_NewRef(plan);
    return lend_memory(task, owners);
}

static bool prepare_task(SharedTaskObject *task, PyObject *fn, PyObject *args)
{
    task->fn = Py_NewRef(fn);
    task->args = Py_NewRef(args);
    task->context = PyContext_CopyCurrent();
    return task->context != NULL;
}

bool core_ready_to_share(void)
{
    return core_losses_ready() && core_threads_ready() && core_left_open_ready();
}

/*
 * When the interpreter ends, a child that waits for its lock would end as a thread of its caller does,
 * with what was lent to it. So no other thread may make one any more, and those being made are awaited.
 */
static bool closed;
static int *being_made; /* of this process: a fork copies no threads */

static void __attribute__((constructor)) make_count(void)
{
    static int of_all;
    being_made = ramet_wiped_on_fork(sizeof *being_made);
    if (being_made == NULL)
        being_made = &of_all;
}

#define MOST_WAITS 1000

PyObject *core_close(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    const struct timespec pause = {.tv_nsec = 100000};
    closed = true;
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < MOST_WAITS && __atomic_load_n(being_made, __ATOMIC_ACQUIRE) > 0; i++)
        nanosleep(&pause, NULL);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(PyThreadState_Next(PyInterpreterState_ThreadHead(PyInterpreterState_Get())) != NULL);
}

static bool may_share(void)
{
    if (!closed || core_is_main_thread())
        return core_ready_to_share();
    PyErr_SetString(PyExc_RuntimeError, "the interpreter ends, and only its main thread makes children in shared memory");
    return false;
}

static long clone_sharing(struct core_request *request)
{
    return request->kernel.args.flags & CLONE_VFORK ? core_clone_suspending(request) : core_clone_hosted(request);
}

/* The pid, or -errno; or 0 with an exception set. */
static long share(struct core_request *request, SharedTaskObject *task)
{
    struct ramet_clone_args *args = &request->kernel.args;
    if (args->flags & CLONE_VFORK && !core_has_room_for_child())
        return 0;
    request->task = task;
    ramet_epoch();
    if (args->flags & CLONE_PIDFD)
        args->pidfd = (uintptr_t)&task->pidfd;
    __atomic_add_fetch(being_made, 1, __ATOMIC_RELAXED);
    long pid = clone_sharing(request);
    __atomic_sub_fetch(being_made, 1, __ATOMIC_RELEASE);
    task->pid = (int)pid;
    return pid;
}

/* What few ask for: (set_tid or None, cgroup, stack_size, timeout or None, another_user, apart, plan or None). */
static bool read_further(struct core_request *request, PyObject *further, Py_buffer *pids, bool *another_user, PyObject **plan)
{
    PyObject *set_tid, *timeout;
    unsigned long long cgroup;
    int another, own_interpreter;
    if (further == Py_None)
        return true;
    if (!PyArg_ParseTuple(further, "OKnOppO:share", &set_tid, &cgroup, &request->host_stack_size, &timeout, &another,
                          &own_interpreter, plan))
        return false;
    request->kernel.args.cgroup = cgroup;
    request->timeout = core_timeout(timeout);
    request->own_interpreter = own_interpreter;
    *another_user = another;
    return request->timeout != -2 && read_pids(&request->kernel.args, set_tid, pids);
}

/* The mark of this memory is to be as it was when the child has gone, see dumpable.h; a caller that was suspended knows. */
static long share_marked(struct core_request *request, SharedTaskObject *task, bool another_user)
{
    task->marked = another_user && ramet_dumpable_save();
    long pid = share(request, task);
    if (pid <= 0 || request->kernel.args.flags & CLONE_VFORK)
        core_shared_task_unmark(task);
    return pid;
}

PyObject *core_share(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_request request = {.kernel.size = sizeof request.kernel.args, .timeout = -1};
    struct ramet_clone_args *asked = &request.kernel.args;
    Py_buffer pids = {0};
    PyObject *plan = Py_None;
    bool another_user = false;
    (void)module;
    if (count != 8 || !PyObject_TypeCheck(args[0], &Handle_Type) || !PyTuple_Check(args[6]))
        return PyErr_Format(PyExc_TypeError, "share(child, flags, exit_signal, legacy, stopped, fn, args, further)");
    asked->flags = PyLong_AsUnsignedLongLongMask(args[1]);
    asked->exit_signal = PyLong_AsUnsignedLongLongMask(args[2]);
    request.kernel.legacy = args[3] == Py_True;
    request.kernel.stopped = args[4] == Py_True;
    if (PyErr_Occurred() || !read_further(&request, args[7], &pids, &another_user, &plan))
        return NULL;
    SharedTaskObject *task = may_share() ? core_shared_task_new() : NULL;
    long pid = 0;
    if (task != NULL && (request.own_interpreter ? prepare_subinterpreter(task, args[5], args[6], plan) : prepare_task(task, args[5], args[6])))
        pid = share_marked(&request, task, another_user);
    PyBuffer_Release(&pids);
    if (pid < 0)
        core_raise_refused(&request, pid);
    bool held = pid > 0 && core_handle_hold_sharer((HandleObject *)args[0], task, asked->flags & CLONE_VFORK) == 0;
    PyObject *lost = held ? PyBool_FromLong(task->ended_how != 0 && task->losses != NULL) : NULL;
    Py_XDECREF(task);
    return lost;
}
