/* One call of Python, ramet._core.clone, and the four ways in which a child can come of it. */
#include "plan_object.h"

#include <linux/sched.h>
#include <time.h>
#include <unistd.h>

#include "clone_ways.h"
#include "dumpable.h"
#include "epoch.h"
#include "watched_children.h"
#include "handle.h"
#include "kernel_features.h"
#include "deferred_release.h"
#include "left_open.h"
#include "lent_memory.h"

long core_exit_call(const struct core_birth *birth)
{
    return birth->request.args.flags & CLONE_THREAD ? __NR_exit : __NR_exit_group;
}

bool core_clears_handlers(const struct core_birth *birth)
{
    return !(birth->request.args.flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND));
}

/*
 * SIGHAND: the handler would be the caller's as well. THREAD: ends with the process anyway. PARENT:
 * the parent is another process. NEWPID: the child cannot see its parent's pid.
 */
pid_t core_owner(const struct core_birth *birth)
{
    return birth->request.args.flags & (CLONE_SIGHAND | CLONE_THREAD | CLONE_PARENT | CLONE_NEWPID) ? 0 : getpid();
}

/* Whether a watchdog must see to it: the child shares the memory, is no thread, and gets no signal of its own. */
static bool needs_watchdog(const struct core_birth *birth)
{
    uint64_t flags = birth->request.args.flags;
    return !(flags & (CLONE_THREAD | CLONE_PARENT_SETTID)) && !birth->request.legacy && core_owner(birth) == 0;
}

long core_watch(struct core_birth *birth, struct ramet_clone_args *args, int **watched)
{
    long error = 0;
    *watched = needs_watchdog(birth) ? ramet_watched_place(&error) : NULL;
    if (*watched != NULL) {
        args->flags |= CLONE_PARENT_SETTID;
        args->parent_tid = (uintptr_t)*watched;
    }
    if (error < 0)
        birth->lacks = "watchdog";
    return error;
}

PyObject *core_raise_birth(const struct core_birth *birth, long error)
{
    return birth->lacks == NULL ? core_raise_errno(error) : core_raise_no_helper(error, birth->lacks);
}

static PyObject *pid_alone(const struct core_birth *birth, long pid)
{
    return pid < 0 ? core_raise_birth(birth, pid) : Py_BuildValue("lO", pid, Py_None);
}

long core_birth_sharing(struct core_birth *birth)
{
    return birth->request.args.flags & CLONE_VFORK ? core_birth_suspending(birth) : core_birth_carried(birth);
}

static PyObject *make_carried(struct core_birth *birth)
{
    birth->task = core_shared_task_new();
    if (birth->task == NULL)
        return NULL;
    long pid = core_birth_carried(birth);
    birth->task->pid = (int)pid;
    PyObject *result = pid < 0 ? core_raise_birth(birth, pid) : Py_BuildValue("lO", pid, birth->task);
    Py_DECREF(birth->task);
    return result;
}

static bool ready(void)
{
    return core_losses_ready() && core_threads_ready() && core_left_open_ready();
}

static PyObject *make(struct core_birth *birth)
{
    uint64_t flags = birth->request.args.flags;
    if (!(flags & CLONE_VM))
        return core_may_copy() ? pid_alone(birth, core_birth_copied(birth)) : NULL;
    if (!birth->native && !ready())
        return NULL;
    if (flags & CLONE_VFORK) {
        bool needs_room = !birth->native && birth->request.args.stack == 0;
        return needs_room && !core_has_room_for_child() ? NULL : pid_alone(birth, core_birth_suspending(birth));
    }
    if (flags & CLONE_SETTLS) {
        ramet_release_deferred();
        return pid_alone(birth, core_birth_native(birth));
    }
    return make_carried(birth);
}

static bool read_function(struct core_birth *birth, PyObject *fn, PyObject *arg)
{
    birth->native = PyLong_Check(fn);
    if (birth->native) {
        birth->fn = PyLong_AsVoidPtr(fn);
        birth->arg = arg == Py_None ? NULL : PyLong_AsVoidPtr(arg);
        return !PyErr_Occurred();
    }
    birth->fn = fn == Py_None ? NULL : fn;
    birth->arg = arg;
    return true;
}

static bool read_words(struct core_birth *birth, PyObject *words)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(words) && i < 2; i++) {
        PyObject *word = PyTuple_GET_ITEM(words, i);
        if (!PyObject_TypeCheck(word, &TidWord_Type)) {
            PyErr_SetString(PyExc_TypeError, "words must be TidWords");
            return false;
        }
        birth->words[i] = ((TidWordObject *)word)->word;
    }
    return true;
}

bool core_read_args(struct ramet_clone_args *args, const Py_buffer *block)
{
    if (block->len != sizeof *args) {
        PyErr_Format(PyExc_ValueError, "clone_args has %zu bytes", sizeof *args);
        return false;
    }
    memcpy(args, block->buf, sizeof *args);
    return true;
}

PyObject *core_fork_twice(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    if (!core_may_copy())
        return NULL;
    long pid = core_fork();
    return pid < 0 ? core_raise_errno(pid) : PyLong_FromLong(pid);
}

PyObject *core_clone(PyObject *module, PyObject *args)
{
    struct core_birth birth = {.timeout = -1};
    Py_buffer block;
    PyObject *fn, *arg, *stack, *words;
    int legacy, stopped;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nppOOOOO!n:clone", &block, &size, &legacy, &stopped, &fn, &arg, &birth.kept,
                          &stack, &PyTuple_Type, &words, &birth.host_stack_size))
        return NULL;
    birth.request.size = (size_t)size;
    birth.request.legacy = legacy;
    birth.request.stopped = stopped;
    if (stack != Py_None && !PyObject_TypeCheck(stack, &Stack_Type)) {
        PyErr_SetString(PyExc_TypeError, "stack must be a Stack or None");
        PyBuffer_Release(&block);
        return NULL;
    }
    birth.stack = stack == Py_None ? NULL : ((StackObject *)stack)->stack;
    PyObject *result = NULL;
    if (core_read_args(&birth.request.args, &block) && read_function(&birth, fn, arg) && read_words(&birth, words))
        result = make(&birth);
    PyBuffer_Release(&block);
    return result;
}

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

/*
 * When the interpreter ends, a child that waits for its lock would end as a thread of its caller does,
 * with what was lent to it. So no other thread may make one any more, and those in the making are awaited.
 */
static bool closed;
static int *in_the_making; /* of this process: a fork copies no threads */

static void __attribute__((constructor)) make_count(void)
{
    static int of_all;
    in_the_making = ramet_wiped_on_fork(sizeof *in_the_making);
    if (in_the_making == NULL)
        in_the_making = &of_all;
}

#define MOST_WAITS 1000

PyObject *core_close(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    const struct timespec pause = {.tv_nsec = 100000};
    closed = true;
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < MOST_WAITS && __atomic_load_n(in_the_making, __ATOMIC_ACQUIRE) > 0; i++)
        nanosleep(&pause, NULL);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(PyThreadState_Next(PyInterpreterState_ThreadHead(PyInterpreterState_Get())) != NULL);
}

static bool may_share(void)
{
    if (!closed || core_is_main_thread())
        return ready();
    PyErr_SetString(PyExc_RuntimeError, "the interpreter ends, and only its main thread makes children in shared memory");
    return false;
}

/* The task, born; or -errno; or 0 with an exception set. */
static long share(struct core_birth *birth, SharedTaskObject *task)
{
    struct ramet_clone_args *args = &birth->request.args;
    if (args->flags & CLONE_VFORK && !core_has_room_for_child())
        return 0;
    birth->task = task;
    ramet_epoch();
    if (args->flags & CLONE_PIDFD)
        args->pidfd = (uintptr_t)&task->pidfd;
    __atomic_add_fetch(in_the_making, 1, __ATOMIC_RELAXED);
    long pid = core_birth_sharing(birth);
    __atomic_sub_fetch(in_the_making, 1, __ATOMIC_RELEASE);
    task->pid = (int)pid;
    return pid;
}

/* What few ask for: (set_tid or None, cgroup, stack_size, timeout or None, another_user, apart, plan or None). */
static bool read_further(struct core_birth *birth, PyObject *further, Py_buffer *pids, bool *another_user, PyObject **plan)
{
    PyObject *set_tid, *timeout;
    unsigned long long cgroup;
    int another, own_interpreter;
    if (further == Py_None)
        return true;
    if (!PyArg_ParseTuple(further, "OKnOppO:share", &set_tid, &cgroup, &birth->host_stack_size, &timeout, &another,
                          &own_interpreter, plan))
        return false;
    birth->request.args.cgroup = cgroup;
    birth->timeout = core_timeout(timeout);
    birth->own_interpreter = own_interpreter;
    *another_user = another;
    return birth->timeout != -2 && read_pids(&birth->request.args, set_tid, pids);
}

/* The mark of this memory is to be as it was when the child has gone, see dumpable.h; a caller that was suspended knows. */
static long share_marked(struct core_birth *birth, SharedTaskObject *task, bool another_user)
{
    task->marked = another_user && ramet_dumpable_save();
    long pid = share(birth, task);
    if (pid <= 0 || birth->request.args.flags & CLONE_VFORK)
        core_shared_task_unmark(task);
    return pid;
}

PyObject *core_share(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_birth birth = {.request.size = sizeof birth.request.args, .timeout = -1};
    struct ramet_clone_args *asked = &birth.request.args;
    Py_buffer pids = {0};
    PyObject *plan = Py_None;
    bool another_user = false;
    (void)module;
    if (count != 8 || !PyObject_TypeCheck(args[0], &Handle_Type) || !PyTuple_Check(args[6]))
        return PyErr_Format(PyExc_TypeError, "share(child, flags, exit_signal, legacy, stopped, fn, args, further)");
    asked->flags = PyLong_AsUnsignedLongLongMask(args[1]);
    asked->exit_signal = PyLong_AsUnsignedLongLongMask(args[2]);
    birth.request.legacy = args[3] == Py_True;
    birth.request.stopped = args[4] == Py_True;
    if (PyErr_Occurred() || !read_further(&birth, args[7], &pids, &another_user, &plan))
        return NULL;
    SharedTaskObject *task = may_share() ? core_shared_task_new() : NULL;
    long pid = 0;
    if (task != NULL && (birth.own_interpreter ? prepare_subinterpreter(task, args[5], args[6], plan) : prepare_task(task, args[5], args[6])))
        pid = share_marked(&birth, task, another_user);
    PyBuffer_Release(&pids);
    if (pid < 0)
        core_raise_birth(&birth, pid);
    bool held = pid > 0 && core_handle_hold_sharer((HandleObject *)args[0], task, asked->flags & CLONE_VFORK) == 0;
    PyObject *lost = held ? PyBool_FromLong(task->ended_how != 0 && task->losses != NULL) : NULL;
    Py_XDECREF(task);
    return lost;
}

PyObject *core_has_clear_sighand(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(ramet_has_clear_sighand());
}

PyObject *core_has_close_range(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(ramet_has_close_range());
}

PyObject *core_has_clone3(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(ramet_has_clone3());
}
