/* ramet._core.clone and fork: a child in the kernel's own terms, made in one of four ways. */
#include <linux/sched.h>

#include "clone_ways.h"
#include "deferred_release.h"
#include "end_of_sharing.h"

static PyObject *pid_alone(const struct core_request *request, long pid)
{
    return pid < 0 ? core_raise_refused(request, pid) : Py_BuildValue("lO", pid, Py_None);
}

static PyObject *make_hosted(struct core_request *request)
{
    request->task = core_shared_task_new();
    if (request->task == NULL)
        return NULL;
    long pid = core_clone_hosted(request);
    request->task->pid = (int)pid;
    if (pid < 0)
        core_raise_refused(request, pid);
    PyObject *result = pid > 0 && core_list_sharer(request) ? Py_BuildValue("lO", pid, request->task) : NULL;
    Py_DECREF(request->task);
    return result;
}

/* Native code on the caller's own stack, or on a block that it brings, needs nothing of Python's, and may outlive it. */
static bool is_native_alone(const struct core_request *request)
{
    return request->native && request->kernel.args.flags & (CLONE_VFORK | CLONE_SETTLS);
}

static PyObject *make_sharing(struct core_request *request)
{
    uint64_t flags = request->kernel.args.flags;
    if (!is_native_alone(request) && !core_ready_to_share())
        return NULL;
    if (flags & CLONE_VFORK) {
        bool needs_room = !request->native && request->kernel.args.stack == 0;
        return needs_room && !core_has_room_for_child() ? NULL : pid_alone(request, core_clone_suspending(request));
    }
    if (flags & CLONE_SETTLS) {
        ramet_release_deferred();
        return pid_alone(request, core_clone_native(request));
    }
    return make_hosted(request);
}

static PyObject *make(struct core_request *request)
{
    bool counted;
    if (!(request->kernel.args.flags & CLONE_VM))
        return core_may_copy() ? pid_alone(request, core_clone_copied(request)) : NULL;
    if (is_native_alone(request))
        return make_sharing(request);
    if (!core_may_begin_sharing(&counted))
        return NULL;
    PyObject *result = make_sharing(request);
    core_has_shared(counted);
    return result;
}

static bool read_function(struct core_request *request, PyObject *fn, PyObject *arg)
{
    request->native = PyLong_Check(fn);
    if (request->native) {
        request->fn = PyLong_AsVoidPtr(fn);
        request->arg = arg == Py_None ? NULL : PyLong_AsVoidPtr(arg);
        return !PyErr_Occurred();
    }
    request->fn = fn == Py_None ? NULL : fn;
    request->arg = arg;
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

PyObject *core_clone(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_request request;
    (void)module;
    if (count != 4)
        return PyErr_Format(PyExc_TypeError, "clone(request, fn, arg, kept)");
    if (!core_read_request(&request, args[0]) || !read_function(&request, args[1], args[2]))
        return NULL;
    request.kept = args[3];
    return make(&request);
}
