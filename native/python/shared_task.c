/* ramet._core.SharedTask: the caller's end of a child in shared memory, and where its outcome lies. */
#include "hosted_child.h"

#include <errno.h>
#include <linux/sched.h>

#include "dumpable.h"
#include "futex.h"
#include "watched_children.h"
#include "host_pool.h"
#include "launch_beside.h"
#include "safe_kill.h"
#include "words.h"

SharedTaskObject *core_shared_task_new(void)
{
    SharedTaskObject *self = (SharedTaskObject *)SharedTask_Type.tp_alloc(&SharedTask_Type, 0);
    if (self != NULL)
        self->pidfd = -1;
    return self;
}

/* All objects that it refers to. */
#define FOR_EACH_OBJECT(self, act) \
    do { \
        act(self->fn); \
        act(self->args); \
        act(self->context); \
        act(self->plan); \
        act(self->outcome); \
        act(self->losses); \
    } while (0)

static int task_traverse(SharedTaskObject *self, visitproc visit, void *arg)
{
    FOR_EACH_OBJECT(self, Py_VISIT);
    return 0;
}

static int task_clear(SharedTaskObject *self)
{
    FOR_EACH_OBJECT(self, Py_CLEAR);
    return 0;
}

void core_shared_task_release(SharedTaskObject *self)
{
    Py_buffer *views = self->views;
    self->views = NULL;
    for (Py_ssize_t i = 0; views != NULL && i < self->view_count; i++)
        PyBuffer_Release(&views[i]);
    PyMem_Free(views);
    self->view_count = 0;
}

void core_shared_task_unmark(SharedTaskObject *self)
{
    ramet_dumpable_restore(self->mark);
    self->mark = 0;
}

static void task_dealloc(SharedTaskObject *self)
{
    PyObject_GC_UnTrack(self);
    core_shared_task_unmark(self);
    task_clear(self);
    core_shared_task_release(self);
    if (self->host != NULL)
        ramet_pool_give_back(self->host);
    Py_TYPE(self)->tp_free(self);
}

/* ---- in the child */

static int keep_value(SharedTaskObject *self, PyObject *value)
{
    self->kind = CORE_VALUE;
    self->outcome = value;
    return 0;
}

static int keep_error(SharedTaskObject *self)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit))
        return core_code_of_failure();
    self->kind = CORE_RAISED;
    self->outcome = core_take_exception();
    return 1;
}

static PyObject *raise_early(PyObject *exception)
{
    PyErr_SetNone(exception);
    return NULL;
}

/* The copy of the context has the very object that is the caller's decimal context, with its precision and its flags. */
static void have_own_decimal_context(PyObject *context)
{
    if (PyObject_Size(context) == 0) /* no such object */
        return;
    PyObject *name = core_word(CORE_WORD_DECIMAL);
    PyObject *decimal = name == NULL ? NULL : PyImport_GetModule(name);
    PyObject *callers = decimal == NULL ? NULL : PyObject_CallMethod(decimal, "getcontext", NULL);
    PyObject *own = callers == NULL ? NULL : PyObject_CallMethod(callers, "copy", NULL);
    PyObject *nothing = own == NULL ? NULL : PyObject_CallMethod(decimal, "setcontext", "O", own);
    Py_XDECREF(nothing);
    Py_XDECREF(own);
    Py_XDECREF(callers);
    Py_XDECREF(decimal);
    PyErr_Clear();
}

static PyObject *call_in_context(const SharedTaskObject *self)
{
    have_own_decimal_context(self->context);
    return PyObject_Call(self->fn, self->args, NULL);
}

int core_run_task(SharedTaskObject *self, PyObject *early)
{
    PyObject *value = NULL;
    if (PyContext_Enter(self->context) == 0)
        value = early == NULL ? call_in_context(self) : raise_early(early);
    int code = value != NULL ? keep_value(self, value) : keep_error(self);
    if (PyContext_Exit(self->context) < 0)
        PyErr_Clear();
    Py_CLEAR(self->fn);
    Py_CLEAR(self->args);
    Py_CLEAR(self->context);
    return code;
}

/* ---- after its death */

void core_shared_task_forget(SharedTaskObject *self)
{
    if (self != NULL)
        self->fn = self->args = self->context = NULL;
}

/* ---- in the caller */

static bool is_over(SharedTaskObject *self)
{
    return self->host == NULL || ramet_host_is_over(self->host, self->claim);
}

/* The host thread is wanted for other children. */
static void part_with_host(SharedTaskObject *self)
{
    struct ramet_host *host = self->host;
    self->host = NULL;
    core_shared_task_unmark(self);
    if (host == NULL)
        return;
    if (self->waiting > 1)
        ramet_futex_wake(&host->over); /* the kernel has woken one of them */
    self->expired = host->expired != 0;
    ramet_pool_give_back(host);
}

static PyObject *task_done(SharedTaskObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(is_over(self));
}

static PyObject *task_wait(SharedTaskObject *self, PyObject *seconds)
{
    if (is_over(self)) {
        part_with_host(self);
        Py_RETURN_TRUE;
    }
    struct ramet_host *host = ramet_host_hold(self->host); /* another thread may part with it */
    self->waiting++;
    PyObject *over = core_wait_while(seconds, &host->over, self->claim);
    if (over == Py_True)
        part_with_host(self);
    self->waiting--;
    ramet_host_release(host);
    return over;
}

/* NULL: it has none (VFORK), or no longer. */
static struct core_hosted *hosted(SharedTaskObject *self)
{
    return is_over(self) ? NULL : self->host->context;
}

static PyObject *task_interrupt(SharedTaskObject *self, PyObject *exception)
{
    struct core_hosted *call = hosted(self);
    return PyBool_FromLong(call != NULL && call->kind->interrupt(call, exception));
}

/* The function may be over by now, and its child be a program that it has exec'ed. */
static PyObject *task_kill(SharedTaskObject *self, PyObject *pidfd)
{
    long descriptor = PyLong_AsLong(pidfd);
    if (descriptor == -1 && PyErr_Occurred())
        return NULL;
    struct core_hosted *call = hosted(self);
    long error = call == NULL ? ramet_kill_sharer(self->pid, (int)descriptor, &core_sharers, NULL)
                              : call->kind->kill(call, self->pid, (int)descriptor);
    return error < 0 && error != -ESRCH ? core_raise_errno(error) : Py_NewRef(Py_None);
}

static PyObject *task_in_subinterpreter(SharedTaskObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->own_interpreter);
}

PyObject *core_shared_task_take(SharedTaskObject *self)
{
    if (is_over(self))
        part_with_host(self);
    PyObject *pair = PyTuple_New(2);
    if (pair == NULL)
        return NULL;
    /* From here on nothing runs in between. */
    PyTuple_SET_ITEM(pair, 0, PyLong_FromLong(self->kind));
    PyTuple_SET_ITEM(pair, 1, self->outcome == NULL ? Py_NewRef(Py_None) : self->outcome);
    self->kind = CORE_NOTHING;
    self->outcome = NULL;
    return pair;
}

static PyObject *task_take(SharedTaskObject *self, PyObject *unused)
{
    (void)unused;
    return core_shared_task_take(self);
}

int core_shared_task_conclude(SharedTaskObject *self)
{
    PyObject *over = task_wait(self, Py_None);
    Py_XDECREF(over);
    return over == NULL ? -1 : 0;
}

static PyObject *task_expired(SharedTaskObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->expired);
}

static PyObject *task_losses(SharedTaskObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->losses == NULL ? Py_None : self->losses);
}

PyObject *core_drain(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    core_forget_state();
    Py_BEGIN_ALLOW_THREADS
    ramet_pool_drain();
    ramet_watched_drain();
    ramet_underway_sweep();
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyGetSetDef task_members[] = {
    {"expired", (getter)task_expired, NULL, "whether it was killed at its deadline, once it is done and was waited for", NULL},
    {"losses", (getter)task_losses, NULL, "what was lost with it, once it is done; None for nothing", NULL},
    {"own_interpreter", (getter)task_in_subinterpreter, NULL, "whether it has an interpreter of its own", NULL},
    {"done", (getter)task_done, NULL, "whether the task has left the shared memory and its host thread has cleaned up", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef task_methods[] = {
    {"wait", (PyCFunction)task_wait, METH_O,
     "wait($self, timeout, /)\n--\n\nSleeps until done; timeout in seconds or None. Returns whether it is done."},
    {"interrupt", (PyCFunction)task_interrupt, METH_O,
     "interrupt($self, exception, /)\n--\n\nRaises the class of exception in its function. Returns whether it still runs."},
    {"kill", (PyCFunction)task_kill, METH_O,
     "kill($self, pidfd, /)\n--\n\nSIGKILL for its task, where it is at a safe point; pidfd may be -1."},
    {"take", (PyCFunction)task_take, METH_NOARGS,
     "take($self, /)\n--\n\nWhat came of the function, once: its kind (see result_channel.py), and the value or the exception."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject SharedTask_Type = {
    CORE_TYPE("SharedTask", SharedTaskObject, Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_HAVE_GC),
    .tp_doc = "A child that shares the memory: from its clone call until what came of it is taken.",
    .tp_traverse = (traverseproc)task_traverse,
    .tp_clear = (inquiry)task_clear,
    .tp_dealloc = (destructor)task_dealloc,
    .tp_getset = task_members,
    .tp_methods = task_methods,
};
