/* ramet._core.copy: a function in a child with a memory of its own. */
#include <linux/sched.h>
#include <unistd.h>

#include "clone_ways.h"
#include "child_handle.h"
#include "mapping.h"

/* ramet._process.result_channel.prepare(), until it has been done. */
static bool prepare(void)
{
    static bool prepared;
    if (prepared)
        return true;
    PyObject *function = core_look_up(CORE_FOR_COPIES) ? core_named(CORE_PREPARE_CHANNEL) : NULL;
    PyObject *done = function == NULL ? NULL : PyObject_CallNoArgs(function);
    prepared = done == Py_True;
    Py_XDECREF(done);
    return done != NULL;
}

/* None: what libc's fork() does. Returns twice. */
static long make(struct core_request *request, bool asks_for_more, int *pidfd)
{
    if (!asks_for_more)
        return core_fork();
    if (request->kernel.args.flags & CLONE_PIDFD)
        ramet_set_address(&request->kernel.args, CLONE_PIDFD, pidfd);
    return core_clone_copied(request);
}

PyObject *core_copy(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_request request = {0};
    int pidfd = -1;
    (void)module;
    if (count != 5 || !PyObject_TypeCheck(args[0], &Handle_Type) || !PyObject_TypeCheck(args[1], &Mapping_Type) ||
        !PyTuple_Check(args[4]))
        return PyErr_Format(PyExc_TypeError, "copy(child, outcome, request, fn, args)");
    HandleObject *child = (HandleObject *)args[0];
    MappingObject *outcome = (MappingObject *)args[1];
    if (args[2] != Py_None && !core_read_request(&request, args[2]))
        return NULL;
    /* Else both would write what is buffered now. */
    if (!core_may_copy() || !prepare() || core_flush_standard_streams() < 0)
        return NULL;
    Py_XSETREF(child->outcome, Py_NewRef(outcome));
    long pid = make(&request, args[2] != Py_None, &pidfd);
    if (pid == 0)
        _exit(core_mapping_deliver(outcome, args[3], args[4]));
    if (pid < 0)
        return core_raise_errno(pid);
    core_handle_hold(child, pid, pidfd);
    core_mapping_keep_from_others(outcome);
    Py_RETURN_NONE;
}
