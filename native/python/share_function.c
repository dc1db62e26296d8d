/* ramet._core.share: a function in a child in shared memory. */
#include <linux/sched.h>

#include "clone_ways.h"
#include "dumpable.h"
#include "child_handle.h"
#include "end_of_sharing.h"
#include "epoch.h"
#include "left_open.h"
#include "plan_object.h"

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
    /* Interpreters are made in threads without the GIL, which would die at any point together with the child that made them. */
    if (ramet_epoch() != 0 && !ramet_owns_memory()) {
        PyErr_SetString(PyExc_RuntimeError, "invalid clone call: a child in shared memory makes no interpreters; make the child from its caller");
        return false;
    }
    if (!PyBytes_Check(code)) {
        core_raise_invalid(PyExc_TypeError, "fn", "the code of a subinterpreter as bytes", code);
        return false;
    }
    task->own_interpreter = true;
    task->fn = Py_NewRef(code);
    task->plan = Py_XNewRef(plan);
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
    if (!core_look_up(CORE_FOR_SHARED_MEMORY) || !core_left_open_ready())
        return false;
    core_losses_ready();
    return true;
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
    if (args->flags & CLONE_PIDFD)
        ramet_set_address(args, CLONE_PIDFD, &task->pidfd);
    long pid = clone_sharing(request);
    task->pid = (int)pid;
    return pid;
}

/* The memory is dumpable again when the child has ended, see dumpable.h; a caller that was suspended has seen its end. */
static long share_marked(struct core_request *request, SharedTaskObject *task)
{
    task->mark = request->another_user ? ramet_dumpable_save(NULL, NULL) : 0;
    long pid = share(request, task);
    if (pid <= 0 || request->kernel.args.flags & CLONE_VFORK)
        core_shared_task_unmark(task);
    return pid;
}

static bool prepare(SharedTaskObject *task, const struct core_request *request, PyObject *fn, PyObject *args)
{
    return request->own_interpreter ? prepare_subinterpreter(task, fn, args, request->plan) : prepare_task(task, fn, args);
}

/* What it returned: whether the child has ended with losses. */
static PyObject *share_listed(HandleObject *child, struct core_request *request, PyObject *fn, PyObject *args)
{
    SharedTaskObject *task = core_ready_to_share() ? core_shared_task_new() : NULL;
    long pid = task != NULL && prepare(task, request, fn, args) ? share_marked(request, task) : 0;
    if (pid < 0)
        core_raise_refused(request, pid);
    bool suspended = request->kernel.args.flags & CLONE_VFORK;
    bool sibling = request->kernel.args.flags & CLONE_PARENT;
    bool held = pid > 0 && core_handle_hold_sharer(child, task, suspended, sibling) == 0 &&
                (suspended || core_list_sharer(request));
    PyObject *lost = held ? PyBool_FromLong(task->ended_how != 0 && task->losses != NULL) : NULL;
    Py_XDECREF(task);
    return lost;
}

PyObject *core_share(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_request request;
    bool counted;
    (void)module;
    if (count != 4 || !PyObject_TypeCheck(args[0], &Handle_Type) || !PyTuple_Check(args[3]))
        return PyErr_Format(PyExc_TypeError, "share(child, request, fn, args)");
    if (!core_read_request(&request, args[1]) || !core_may_begin_sharing(&counted))
        return NULL;
    PyObject *lost = share_listed((HandleObject *)args[0], &request, args[2], args[3]);
    core_has_shared(counted);
    return lost;
}
