/* ramet._core.spawn: a plan carried out in a child, which suspends its caller until it execs or ends. */
#include "clone_request.h"
#include "child_handle.h"
#include "namespace_of_child.h"
#include "plan_object.h"

#include "launch_beside.h"

PyObject *core_spawn(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_request request;
    struct ramet_report report;
    (void)module;
    if (count != 3 || !PyObject_TypeCheck(args[0], &Handle_Type) || !PyObject_TypeCheck(args[2], &Plan_Type))
        return PyErr_Format(PyExc_TypeError, "spawn(child, request, plan)");
    if (!core_read_request(&request, args[1]))
        return NULL;
    ramet_underway_sweep();
    Py_BEGIN_ALLOW_THREADS
    ramet_launch_suspending(&request.kernel, ((PlanObject *)args[2])->plan, &report);
    Py_END_ALLOW_THREADS
    if (report.pid < 0)
        return core_raise_errno(report.pid);
    core_handle_hold((HandleObject *)args[0], report.pid, report.pidfd);
    if (report.init > 0)
        core_handle_hold_init((HandleObject *)args[0], report.init, report.init_pidfd);
    return core_failure(&report);
}
