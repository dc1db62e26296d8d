/* ramet._core.Handle: a child by its pid and its pidfd, whose end is learned once. Child is made of it. */
#define _GNU_SOURCE
#include "child_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sched.h>
#include <structmember.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "called_names.h"
#include "epoch.h"
#include "futex.h"
#include "namespace_of_child.h"
#include "safe_kill.h"
#include "mapping.h"
#include "own_interpreter.h"
#include "credentials.h"
#include "words.h"

#define NO_DESCRIPTOR (-1)
#define LONGEST_LEARNING_NANOSECONDS 100000000 /* a task that dies in waitid() is waited for no longer */

static long compare_tables(long thread, long other)
{
    return ramet_syscall5(__NR_kcmp, thread, other, KCMP_FILES, 0, 0);
}

/* Not so where the kernel does not tell. */
static bool has_own_table(long thread, pid_t main_thread)
{
    return thread != main_thread && compare_tables(thread, main_thread) > 0;
}

static int opened(long pid)
{
    long pidfd = ramet_syscall2(__NR_pidfd_open, pid, 0);
    return pidfd < 0 ? NO_DESCRIPTOR : (int)pidfd;
}

/* A pidfd of a child that another thread may have reaped, whose pid may be another's by now. */
static int opened_if_ours(long pid)
{
    int pidfd = opened(pid);
    if (pidfd < 0 || ramet_syscall5(__NR_waitid, P_PIDFD, pidfd, NULL, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) != -ECHILD)
        return pidfd;
    close(pidfd);
    return NO_DESCRIPTOR;
}

/* Whether the number stands for the same file here as where the handle was made. So, too, where the kernel does not tell. */
static bool is_same_file(const HandleObject *self, int pidfd)
{
    const long maker = self->in_own_table ? self->thread : self->maker;
    const long order = ramet_syscall5(__NR_kcmp, ramet_syscall0(__NR_gettid), maker, KCMP_FILE, pidfd, pidfd);
    return order == 0 || order == -EPERM || order == -ENOSYS;
}

static void hold(HandleObject *self, long pid, int pidfd)
{
    self->epoch = ramet_epoch();
    self->pid = (int)pid;
    self->pidfd = pidfd;
    self->maker = getpid();
    self->thread = (int)ramet_syscall0(__NR_gettid);
    self->in_own_table = has_own_table(self->thread, self->maker);
}

void core_handle_hold(HandleObject *self, long pid, int pidfd)
{
    hold(self, pid, pidfd < 0 ? opened(pid) : pidfd);
}

/*
 * One of its pidfds, if the number stands for it in the calling thread's table, too. After unshare(FILES) in one of
 * two threads it does not, nor in a process that shares the memory and no table: something else may have it here, another
 * child's pidfd even. A copy of the process has the table's copy.
 */
int core_handle_here(const HandleObject *self, int pidfd)
{
    const long thread = ramet_syscall0(__NR_gettid);
    bool elsewhere = false;
    if (pidfd < 0 || thread == self->thread)
        return pidfd;
    if (self->maker != getpid())
        elsewhere = self->epoch == ramet_epoch() && !is_same_file(self, pidfd);
    else if (self->in_own_table)
        elsewhere = compare_tables(thread, self->thread) != 0;
    else
        elsewhere = has_own_table(thread, self->maker);
    return elsewhere ? NO_DESCRIPTOR : pidfd;
}

static int pidfd_here(const HandleObject *self)
{
    return core_handle_here(self, self->pidfd);
}

void core_handle_enter(HandleObject *self)
{
    self->users++;
}

void core_handle_leave(HandleObject *self)
{
    self->users--;
    if (self->users > 0 || !self->let_go || self->pidfd < 0)
        return;
    int pidfd = pidfd_here(self);
    self->pidfd = NO_DESCRIPTOR;
    if (pidfd >= 0)
        close(pidfd);
}

static void let_go(HandleObject *self)
{
    core_handle_enter(self);
    self->let_go = true;
    core_handle_leave(self);
}

static bool is_learned(const HandleObject *self)
{
    return __atomic_load_n(&self->learned, __ATOMIC_ACQUIRE);
}

/*
 * One waitid(2), without the interpreter lock: 1 when it has learned the end (with WNOWAIT: when there is one), 0 when
 * there is none yet, -errno.
 */
static long ask(HandleObject *self, int options)
{
    siginfo_t info = {0};
    struct rusage used;
    long error = -EINVAL;
    int pidfd = pidfd_here(self);
    if (pidfd >= 0)
        error = ramet_syscall5(__NR_waitid, P_PIDFD, pidfd, &info, options, &used);
    if (error == -EINVAL) /* P_PIDFD is younger than pidfds: 5.4 */
        error = ramet_syscall5(__NR_waitid, P_PID, self->pid, &info, options, &used);
    if (error < 0 || info.si_pid == 0)
        return error;
    if (options & WNOWAIT)
        return 1;
    self->how = info.si_code;
    self->with = info.si_status;
    self->used = used;
    __atomic_store_n(&self->learned, true, __ATOMIC_RELEASE);
    return 1;
}

/* The kernel tells the end to one task alone, which may be about to write it down while we get ECHILD. */
static bool is_being_learned(HandleObject *self)
{
    int64_t deadline = ramet_now() + LONGEST_LEARNING_NANOSECONDS;
    while (!is_learned(self)) {
        if (__atomic_load_n(&self->asking, __ATOMIC_ACQUIRE) == 0 || ramet_now() >= deadline)
            return is_learned(self);
        sched_yield();
    }
    return true;
}

static long ask_unlocked(HandleObject *self, int options)
{
    long answer;
    core_handle_enter(self);
    __atomic_add_fetch(&self->asking, 1, __ATOMIC_RELAXED);
    Py_BEGIN_ALLOW_THREADS
    answer = ask(self, options);
    __atomic_sub_fetch(&self->asking, 1, __ATOMIC_RELEASE);
    if (answer == -ECHILD && is_being_learned(self))
        answer = 1;
    Py_END_ALLOW_THREADS
    core_handle_leave(self);
    return answer;
}

/* The beginning of a wait without an end, see CORE_FIRST_LOOK. -1 with an exception set. */
static int await_first_look(HandleObject *self)
{
    core_handle_enter(self);
    struct pollfd end = {.fd = pidfd_here(self), .events = POLLIN};
    Py_BEGIN_ALLOW_THREADS
    if (end.fd >= 0)
        poll(&end, 1, CORE_FIRST_LOOK / RAMET_MILLISECOND);
    Py_END_ALLOW_THREADS
    core_handle_leave(self);
    return PyErr_CheckSignals();
}

static bool is_mapped(const HandleObject *self)
{
    return self->outcome != NULL && PyObject_TypeCheck(self->outcome, &Mapping_Type);
}

/* While the kernel still tells what a child may do that has ended: whether it is believed, and its pickle loaded. -1 with an exception set. */
static int look(HandleObject *self)
{
    if (!is_mapped(self) || !core_mapping_needs_trust((MappingObject *)self->outcome)) /* another thread may have taken it */
        return 0;
    PyObject *outcome = Py_NewRef(self->outcome);
    core_handle_enter(self);
    int pidfd = pidfd_here(self);
    PyObject *same = ramet_credentials_are_ours(self->pid, pidfd, false) ? Py_True : Py_False;
    PyObject *done = PyObject_CallMethod(outcome, core_method(CORE_COMPARE_RIGHTS), "iiO", self->pid, pidfd, same);
    core_handle_leave(self);
    Py_DECREF(outcome);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* 1 when it has learned the end, 0 where waitid() does not tell, -1 with an exception set. */
static int learn(HandleObject *self, int options)
{
    bool looks = is_mapped(self) && core_mapping_goes_by_rights((MappingObject *)self->outcome);
    if (!(options & WNOHANG) && !is_learned(self) && await_first_look(self) < 0)
        return -1;
    while (!is_learned(self)) { /* by a signal handler that runs in between, it may be */
        if (self->maker != getpid() || (self->let_go && self->pidfd < 0))
            return 0;
        long answer = ask_unlocked(self, looks ? options | WNOWAIT : options);
        if (answer == 0 || answer == -ECHILD)
            return 0;
        if (answer == -EINTR && PyErr_CheckSignals() < 0)
            return -1;
        if (answer < 0 && answer != -EINTR) {
            core_raise_errno(answer);
            return -1;
        }
        if (answer > 0 && looks && look(self) < 0)
            return -1;
        looks &= answer < 0;
    }
    let_go(self);
    return 1;
}

static PyObject *used(const HandleObject *self)
{
    return PyBytes_FromStringAndSize((const char *)&self->used, sizeof self->used);
}

static PyObject *handle_reap(HandleObject *self, PyObject *waits)
{
    int known = learn(self, WEXITED | __WALL | (waits == Py_True ? 0 : WNOHANG));
    if (known < 0)
        return NULL;
    if (known == 0)
        Py_RETURN_NONE;
    return Py_BuildValue("iiN", self->how, self->with, used(self));
}

/* ---- its exit status */

PyObject *core_know_exit_status(PyObject *module, PyObject *args)
{
    PyObject *kind, *slot;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O:know_exit_status", &PyType_Type, &kind, &slot))
        return NULL;
    if (Py_TYPE(slot)->tp_descr_set == NULL)
        return core_raise_invalid(PyExc_TypeError, "slot", "the descriptor of a slot", slot);
    struct core_interpreter *own = core_own_interpreter();
    if (own == NULL)
        return NULL;
    Py_XSETREF(own->exit_status, (PyTypeObject *)Py_NewRef(kind));
    Py_XSETREF(own->end_slot, Py_NewRef(slot));
    Py_RETURN_NONE;
}

/* As exit_status.from_waitid() makes it. */
static PyObject *status_of_code(const HandleObject *self)
{
    const struct core_interpreter *own = core_own_interpreter();
    if (own != NULL && own->exit_status == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the interpreter ends, or has not imported ramet");
    PyObject *end = own == NULL ? NULL : Py_BuildValue("iOOsN", self->with, Py_None, Py_False, "exited", used(self));
    PyObject *status = end == NULL ? NULL : own->exit_status->tp_alloc(own->exit_status, 0);
    if (status != NULL && Py_TYPE(own->end_slot)->tp_descr_set(own->end_slot, status, end) < 0)
        Py_CLEAR(status);
    Py_XDECREF(end);
    return status;
}

static bool is_known(const HandleObject *self)
{
    return self->status != NULL || self->common;
}

/* All callers get the same object, the first that was made. None while it is not known. */
static PyObject *handle_status(HandleObject *self, void *unused)
{
    (void)unused;
    if (self->status == NULL && self->common) {
        PyObject *status = status_of_code(self);
        if (self->status == NULL) /* the collector may have run in between */
            self->status = Py_XNewRef(status);
        Py_XDECREF(status);
        if (self->status == NULL)
            return NULL;
    }
    return Py_NewRef(self->status == NULL ? Py_None : self->status);
}

static PyObject *handle_keep_status(HandleObject *self, PyObject *status)
{
    if (!is_known(self))
        self->status = Py_NewRef(status);
    return handle_status(self, NULL);
}

static bool is_shared(const HandleObject *self)
{
    return self->outcome != NULL && Py_IS_TYPE(self->outcome, &SharedTask_Type);
}

/*
 * Waits until what a child in shared memory has left is put in order, which takes its host longer than its death: 1 where
 * there is nothing to tell of that. -1 with an exception set.
 */
static int conclude_shared(HandleObject *self)
{
    SharedTaskObject *task = (SharedTaskObject *)Py_NewRef(self->outcome);
    int nothing = core_shared_task_conclude(task) < 0 ? -1 : !task->expired && task->losses == NULL;
    Py_DECREF(task);
    return nothing;
}

/* What most waits are, at the cost of the kernel's: whether a plain child has ended with a code. -1 with an exception set. */
static int wait_for_code(HandleObject *self)
{
    int known = !self->plain || is_known(self) ? 0 : learn(self, WEXITED | __WALL);
    if (known > 0 && is_shared(self))
        known = conclude_shared(self);
    if (known > 0 && self->how == CLD_EXITED)
        self->common = true;
    return known < 0 ? -1 : is_known(self);
}

/* Without a wait: whether it has been reaped. -1 with an exception set. */
static int reap_now(HandleObject *self)
{
    int known = is_known(self) ? 1 : learn(self, WEXITED | __WALL | WNOHANG);
    if (known > 0 && !is_known(self))
        self->common = self->how == CLD_EXITED;
    return known;
}

/* None where there is more to know than its end. */
static PyObject *handle_reap_plain(HandleObject *self, PyObject *unused)
{
    (void)unused;
    if (!self->plain)
        Py_RETURN_NONE;
    int known = reap_now(self);
    return known < 0 ? NULL : PyBool_FromLong(known);
}

static PyObject *handle_reap_exited(HandleObject *self, PyObject *unused)
{
    (void)unused;
    int known = reap_now(self);
    return known < 0 ? NULL : PyBool_FromLong(known > 0 && is_known(self));
}

static PyObject *handle_exited(HandleObject *self, PyObject *unused)
{
    (void)unused;
    int known = wait_for_code(self);
    if (known > 0 && self->init != 0 && !self->init_stays)
        known = core_handle_end_namespace(self);
    if (known == 0)
        Py_RETURN_NONE;
    return known < 0 ? NULL : handle_status(self, NULL);
}

/* ---- the outcome of its function */

/* The value that a function in a copy returned, if it came over by itself: once, and then it is what was taken. */
static PyObject *take_plain(HandleObject *self)
{
    if (!is_mapped(self))
        return NULL;
    PyObject *outcome = Py_NewRef(self->outcome);
    PyObject *value = core_mapping_plain((MappingObject *)outcome);
    if (value == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_ValueError))
        PyErr_Clear(); /* the result channel says what is invalid */
    PyObject *taken = value == NULL ? NULL : Py_BuildValue("iO", CORE_VALUE, value);
    Py_DECREF(outcome);
    if (taken == NULL) {
        Py_CLEAR(value);
    } else {
        Py_XSETREF(self->taken, taken);
        Py_CLEAR(self->outcome);
    }
    return value;
}

/* What was taken is the result, where it is a value. */
static PyObject *value_taken(const HandleObject *self)
{
    if (self->taken == NULL || !PyTuple_CheckExact(self->taken) || PyTuple_GET_SIZE(self->taken) != 2 ||
        PyLong_AsLong(PyTuple_GET_ITEM(self->taken, 0)) != CORE_VALUE)
        return NULL;
    return Py_NewRef(PyTuple_GET_ITEM(self->taken, 1));
}

/* Moved in one step: no signal handler comes between. -1 with an exception set. */
static int keep_outcome(HandleObject *self, SharedTaskObject *task)
{
    PyObject *taken = core_shared_task_take(task);
    if (taken != NULL && self->taken == NULL) /* else another thread was faster */
        self->taken = Py_NewRef(taken);
    Py_XDECREF(taken);
    return taken == NULL ? -1 : 0;
}

static PyObject *handle_take_shared(HandleObject *self, PyObject *unused)
{
    (void)unused;
    if (is_shared(self)) {
        PyObject *task = Py_NewRef(self->outcome);
        int error = keep_outcome(self, (SharedTaskObject *)task);
        Py_DECREF(task);
        if (error < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

/* What a function in shared memory returned, whose child came to its end in the common way. */
static PyObject *take_shared(HandleObject *self)
{
    if (learn(self, WEXITED | __WALL) <= 0 || self->how != CLD_EXITED || !is_shared(self))
        return NULL;
    PyObject *task = Py_NewRef(self->outcome);
    int nothing = conclude_shared(self), error = nothing < 0 ? -1 : 0;
    if (nothing > 0 && !is_known(self)) {
        self->common = true;
        error = keep_outcome(self, (SharedTaskObject *)task);
        Py_CLEAR(self->outcome);
    }
    Py_DECREF(task);
    return error < 0 ? NULL : value_taken(self);
}

/* The same for its result. */
static PyObject *handle_delivered(HandleObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *value = is_known(self) ? value_taken(self) : NULL;
    if (value == NULL && is_shared(self))
        value = take_shared(self);
    else if (value == NULL && wait_for_code(self) > 0 && (value = value_taken(self)) == NULL)
        value = take_plain(self);
    return value == NULL && !PyErr_Occurred() ? Py_NewRef(Py_NotImplemented) : value;
}

static PyObject *handle_let_go(HandleObject *self, PyObject *unused)
{
    (void)unused;
    let_go(self);
    Py_RETURN_NONE;
}

/* None where nothing tells. */
static PyObject *handle_has_ended(HandleObject *self, PyObject *seconds)
{
    if (is_learned(self) || self->let_go)
        Py_RETURN_TRUE;
    int pidfd = pidfd_here(self);
    if (pidfd < 0)
        Py_RETURN_NONE;
    core_handle_enter(self);
    PyObject *answer = core_poll(pidfd, seconds);
    core_handle_leave(self);
    return answer;
}

/* ---- what it stands for, and signals for it */

static PyObject *handle_hold(HandleObject *self, PyObject *args)
{
    int pid, init = 0, pidfd_of_init = NO_DESCRIPTOR, descriptor = NO_DESCRIPTOR;
    PyObject *pidfd;
    if (!PyArg_ParseTuple(args, "iO|ii:_hold", &pid, &pidfd, &init, &pidfd_of_init))
        return NULL;
    if (pidfd != Py_None)
        descriptor = (int)PyLong_AsLong(pidfd);
    if (PyErr_Occurred())
        return NULL;
    core_handle_hold_init(self, init, pidfd_of_init);
    hold(self, pid, descriptor);
    Py_RETURN_NONE;
}

/* By its pid it is not signalled: that may be another's by now, or in this pid namespace. */
static PyObject *refuse_elsewhere(const HandleObject *self)
{
    PyObject *text = PyUnicode_FromFormat("child %d was made by process %d, and this process has no pidfd of it: signal it where it was "
                                          "made, or make this process with FILES, which shares the descriptors",
                                          self->pid, self->maker);
    PyObject *args = text == NULL ? NULL : Py_BuildValue("iN", EBADF, text);
    if (args != NULL)
        PyErr_SetObject(PyExc_OSError, args);
    Py_XDECREF(args);
    return NULL;
}

/* Like all below but the next one it does not give the interpreter lock away, so that no thread closes the pidfd meanwhile. */
static PyObject *handle_signal(HandleObject *self, PyObject *number)
{
    long signal = PyLong_AsLong(number);
    if (signal == -1 && PyErr_Occurred())
        return NULL;
    if (is_learned(self) || self->let_go)
        Py_RETURN_NONE;
    const int pidfd = pidfd_here(self);
    if (pidfd < 0 && self->pidfd >= 0 && self->maker != getpid())
        return refuse_elsewhere(self);
    long error = ramet_send_signal(self->pid, pidfd, (int)signal);
    return error < 0 ? core_raise_errno(error) : Py_NewRef(Py_None);
}

/* The task's kill() may give the GIL away, where the child has an interpreter of its own. */
static PyObject *handle_kill_sharer(HandleObject *self, PyObject *task)
{
    if (is_learned(self) || self->let_go)
        Py_RETURN_NONE;
    core_handle_enter(self);
    PyObject *killed = PyObject_CallMethod(task, "kill", "i", pidfd_here(self));
    core_handle_leave(self);
    return killed;
}

int core_handle_copied_pidfd(HandleObject *self)
{
    int pidfd = self->let_go ? NO_DESCRIPTOR : pidfd_here(self);
    return (int)(pidfd >= 0 ? ramet_syscall3(__NR_fcntl, pidfd, F_DUPFD_CLOEXEC, 0)
                            : ramet_syscall2(__NR_pidfd_open, self->pid, 0));
}

static PyObject *handle_copied_pidfd(HandleObject *self, PyObject *unused)
{
    (void)unused;
    if (self->pidfd < 0 || self->let_go)
        Py_RETURN_NONE;
    int copy = core_handle_copied_pidfd(self);
    return copy < 0 ? core_raise_errno(copy) : PyLong_FromLong(copy);
}

static PyObject *handle_take_pidfd(HandleObject *self, PyObject *unused)
{
    (void)unused;
    int pidfd = self->pidfd;
    self->pidfd = NO_DESCRIPTOR;
    self->let_go = true;
    return pidfd < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(pidfd);
}

static PyObject *handle_pidfd(HandleObject *self, void *unused)
{
    (void)unused;
    const int pidfd = self->let_go ? NO_DESCRIPTOR : self->maker == getpid() ? self->pidfd : pidfd_here(self);
    return pidfd < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(pidfd);
}

static HandleObject *new_handle(PyTypeObject *kind)
{
    HandleObject *self = (HandleObject *)kind->tp_alloc(kind, 0);
    if (self != NULL)
        self->pidfd = NO_DESCRIPTOR;
    return self;
}

static PyObject *handle_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs; /* the subclass's own */
    return (PyObject *)new_handle(type);
}

/* All that there is to set before a clone call. */
PyObject *core_new_child(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count != 4 || !PyType_Check(args[0]) || !PyType_IsSubtype((PyTypeObject *)args[0], &Handle_Type))
        return PyErr_Format(PyExc_TypeError, "new_child(kind, what, flags, plain)");
    HandleObject *self = core_look_up(CORE_FOR_CHILDREN) ? new_handle((PyTypeObject *)args[0]) : NULL;
    if (self == NULL)
        return NULL;
    self->what = Py_NewRef(args[1]);
    self->flags = Py_NewRef(args[2]);
    self->plain = args[3] == Py_True;
    return (PyObject *)self;
}

/* Most have been waited for, with all in their namespaces, or were reaped at their clone call, and are not told of. */
static void handle_finalize(PyObject *object)
{
    HandleObject *self = (HandleObject *)object;
    PyObject *type, *value, *traceback;
    const bool is_over = is_known(self) || is_learned(self);
    if (self->pid == 0 || (is_over && self->init == 0))
        return;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *done = PyObject_CallMethod(object, core_method(is_over ? CORE_LEAVE_NAMESPACE : CORE_FORGET_CHILD), NULL);
    if (done == NULL && core_is_finalizing() && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear(); /* the modules that it needs have been taken down */
    else if (done == NULL)
        PyErr_WriteUnraisable(object);
    Py_XDECREF(done);
    PyErr_Restore(type, value, traceback);
}

/* All objects that it refers to. */
#define FOR_EACH_OBJECT(self, act) \
    do { \
        act(self->status); \
        act(self->flags); \
        act(self->what); \
        act(self->outcome); \
        act(self->taken); \
        act(self->task); \
    } while (0)

static int handle_traverse(HandleObject *self, visitproc visit, void *arg)
{
    FOR_EACH_OBJECT(self, Py_VISIT);
    return 0;
}

static int handle_clear(HandleObject *self)
{
    FOR_EACH_OBJECT(self, Py_CLEAR);
    return 0;
}

static void handle_dealloc(HandleObject *self)
{
    PyObject_GC_UnTrack(self);
    handle_clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyMemberDef handle_members[] = {
    {"pid", T_INT, offsetof(HandleObject, pid), READONLY, "The child's pid, as its maker sees it."},
    {"_maker", T_INT, offsetof(HandleObject, maker), READONLY, "The pid of the process that made it."},
    {"_entered", T_BOOL, offsetof(HandleObject, entered), READONLY, "Whether a with statement has it."},
    {"_has_namespace", T_BOOL, offsetof(HandleObject, has_namespace), READONLY,
     "Whether it has a pid namespace that was made for it."},
    {"_init", T_INT, offsetof(HandleObject, init), READONLY, "The pid of the init of that; 0 once it was reaped or given."},
    {"_init_stays", T_BOOL, offsetof(HandleObject, init_stays), 0, "Whether it waits to be ended after the child's end; not by a wait."},
    {"_flags", T_OBJECT, offsetof(HandleObject, flags), 0, "The flags, as they were asked for."},
    {"_what", T_OBJECT, offsetof(HandleObject, what), 0, "What it runs, for people."},
    {"_outcome", T_OBJECT, offsetof(HandleObject, outcome), 0, "Where that of a function is found, until it is taken."},
    {"_taken", T_OBJECT, offsetof(HandleObject, taken), 0, "What was found there: its kind, and the value or the exception."},
    {"_task", T_OBJECT, offsetof(HandleObject, task), 0, "The SharedTask of a child in shared memory, else None."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef handle_properties[] = {
    {"pidfd", (getter)handle_pidfd, NULL,
     "The descriptor of the child, None once it has been waited for or where there is none.", NULL},
    {"_status", (getter)handle_status, NULL, "How it ended, None while that is not known.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/*
 * Not in Python, where a signal's handler could raise before the block has begun. It can in Python 3.14 all the same, see
 * held_lock.c: then nobody has the child, and _forget() does what the end of the block would have done.
 */
static PyObject *handle_enter(HandleObject *self, PyObject *unused)
{
    (void)unused;
    self->entered = true;
    return Py_NewRef(self);
}

static PyMethodDef handle_methods[] = {
    {"__enter__", (PyCFunction)handle_enter, METH_NOARGS, "__enter__($self, /)\n--\n\nItself, which kills and reaps on leaving."},
    {"_hold", (PyCFunction)handle_hold, METH_VARARGS,
     "_hold($self, pid, pidfd, init=0, pidfd_of_init=-1, /)\n--\n\n"
     "Stands for that child of this process from now on, and for the init of its pid namespace; pidfds, or None, are its own."},
    {"_reap", (PyCFunction)handle_reap, METH_O,
     "_reap($self, waits, /)\n--\n\nLearns how it ended, and closes the pidfd: (si_code, si_status, struct rusage).\n\n"
     "None where waitid(2) does not tell, or when it runs and this shall not wait."},
    {"_reap_plain", (PyCFunction)handle_reap_plain, METH_NOARGS,
     "_reap_plain($self, /)\n--\n\nReaps a plain child if it has ended. Returns whether it has; None for any other child."},
    {"_reap_exited", (PyCFunction)handle_reap_exited, METH_NOARGS,
     "_reap_exited($self, /)\n--\n\n"
     "Reaps a child of which a code says all, if it has ended. Returns whether it has with a code, which is its status then."},
    {"_exited", (PyCFunction)handle_exited, METH_NOARGS,
     "_exited($self, /)\n--\n\n"
     "Waits for a plain child, and ends its pid namespace unless its init stays. Its ExitStatus if it is known or the child ended with a code, else None."},
    {"_delivered", (PyCFunction)handle_delivered, METH_NOARGS,
     "_delivered($self, /)\n--\n\n"
     "Waits for a plain child. What its function returned if that is here, or came over by itself, else NotImplemented."},
    {"_take_shared", (PyCFunction)handle_take_shared, METH_NOARGS,
     "_take_shared($self, /)\n--\n\nKeeps what came of a function in shared memory."},
    {"_keep_status", (PyCFunction)handle_keep_status, METH_O,
     "_keep_status($self, status, /)\n--\n\nKeeps the status, unless there is one; returns the one that is kept."},
    {"_let_go", (PyCFunction)handle_let_go, METH_NOARGS,
     "_let_go($self, /)\n--\n\nCloses the pidfd once no task uses it: no more will be known of the child."},
    {"_poll", (PyCFunction)handle_has_ended, METH_O,
     "_poll($self, timeout, /)\n--\n\nWaits until it has ended; whether it has, None without a pidfd."},
    {"_signal", (PyCFunction)handle_signal, METH_O,
     "_signal($self, number, /)\n--\n\nSends a signal, unless it has been waited for."},
    {"_kill_sharer", (PyCFunction)handle_kill_sharer, METH_O,
     "_kill_sharer($self, task, /)\n--\n\nSIGKILL for a child in shared memory, where it is at a safe point."},
    {"_copied_pidfd", (PyCFunction)handle_copied_pidfd, METH_NOARGS,
     "_copied_pidfd($self, /)\n--\n\nA copy of the pidfd, the caller's to close; None once the child has been waited for.\n\n"
     "For a wait that must outlast this object's own descriptor.\n"
     "Source: fcntl(2) F_DUPFD_CLOEXEC."},
    {"_take_pidfd", (PyCFunction)handle_take_pidfd, METH_NOARGS,
     "_take_pidfd($self, /)\n--\n\nThe pidfd or None, the caller's from now on."},
    {"_kill_init", (PyCFunction)core_handle_kill_init, METH_NOARGS,
     "_kill_init($self, /)\n--\n\nKills all in the pid namespace that was made for it, unless the init was taken."},
    {"_end_init", (PyCFunction)core_handle_end_init, METH_NOARGS,
     "_end_init($self, /)\n--\n\n"
     "Kills all in the pid namespace that was made for it, when it has been reaped. Whether they are dead, and the init is\n"
     "reaped; False also where it was taken."},
    {"_give_init", (PyCFunction)core_handle_give_init, METH_O,
     "_give_init($self, kind, /)\n--\n\n"
     "If it has a pid namespace that was made for it, its _namespace is kind(pid, pidfd) of the init, which owns both from now on."},
    {NULL, NULL, 0, NULL},
};

/*
 * The class says what there is in place of what is missing, by _has_no(name), which raises. A __getattr__ would be
 * looked up for each attribute that is there.
 */
static PyObject *handle_getattro(PyObject *self, PyObject *name)
{
    PyObject *found = PyObject_GenericGetAttr(self, name);
    if (found != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return found;
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *has_no = core_word(CORE_WORD_HAS_NO);
    PyObject *say = has_no == NULL ? NULL : PyObject_GenericGetAttr(self, has_no);
    PyErr_Restore(type, error, traceback);
    if (say != NULL) {
        PyErr_Clear();
        Py_XDECREF(PyObject_CallOneArg(say, name));
        Py_DECREF(say);
    }
    return NULL;
}

PyTypeObject Handle_Type = {
    CORE_TYPE("Handle", HandleObject, Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC),
    .tp_doc = "A child by its pid and its pidfd, whose end is learned once.",
    .tp_new = handle_new,
    .tp_getattro = handle_getattro,
    .tp_finalize = handle_finalize,
    .tp_traverse = (traverseproc)handle_traverse,
    .tp_clear = (inquiry)handle_clear,
    .tp_dealloc = (destructor)handle_dealloc,
    .tp_members = handle_members,
    .tp_getset = handle_properties,
    .tp_methods = handle_methods,
};

/* For a child that was reaped at its clone call. */
static void conclude(HandleObject *self, const SharedTaskObject *task)
{
    self->pid = task->pid;
    self->maker = getpid();
    self->let_go = true;
    self->how = task->ended_how;
    self->with = task->ended_with;
    self->used = task->used;
    self->plain &= task->losses == NULL;
    self->common = self->plain && task->ended_how == CLD_EXITED;
    __atomic_store_n(&self->learned, true, __ATOMIC_RELEASE);
}

static int opened_after_call(long pid, bool suspended, bool sibling)
{
    return suspended && !sibling ? opened_if_ours(pid) : opened(pid); /* no wait of ours tells of a sibling */
}

int core_handle_hold_sharer(HandleObject *self, SharedTaskObject *task, bool suspended, bool sibling)
{
    Py_XSETREF(self->task, Py_NewRef(task));
    if (task->ended_how != 0) {
        conclude(self, task);
        Py_XSETREF(self->taken, core_shared_task_take(task));
        return self->taken == NULL ? -1 : 0;
    }
    /* Of one that goes on though its caller was suspended, and of one without a pidfd, there is more to ask. */
    self->plain &= !suspended && task->pidfd >= 0;
    if (!task->own_interpreter) /* else it is in memory that the two share */
        Py_XSETREF(self->outcome, Py_NewRef(task));
    hold(self, task->pid, task->pidfd >= 0 ? task->pidfd : opened_after_call(task->pid, suspended, sibling));
    return 0;
}
