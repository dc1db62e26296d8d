/* ramet._core.spawn and do_steps: a plan carried out in a child, and in the calling task. */
#include "handle.h"
#include "plan_object.h"

#include "launch_beside.h"

PyObject *core_failure(const struct ramet_report *report)
{
    if (report->failed_step == -1)
        Py_RETURN_NONE;
    return Py_BuildValue("ii", report->failed_step, report->error);
}

bool core_read_launch(struct ramet_request *request, const Py_buffer *block, int legacy)
{
    *request = (struct ramet_request){.size = sizeof request->args, .legacy = legacy};
    return core_read_args(&request->args, block);
}

PyObject *core_spawn(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct ramet_request request;
    struct ramet_report report;
    Py_buffer block;
    (void)module;
    if (count != 4 || !PyObject_TypeCheck(args[2], &Plan_Type) || !PyObject_TypeCheck(args[3], &Handle_Type))
        return PyErr_Format(PyExc_TypeError, "spawn(args, legacy, plan, child)");
    if (PyObject_GetBuffer(args[0], &block, PyBUF_SIMPLE) < 0)
        return NULL;
    bool read = core_read_launch(&request, &block, args[1] == Py_True);
    PyBuffer_Release(&block);
    if (!read)
        return NULL;
    ramet_underway_sweep();
    Py_BEGIN_ALLOW_THREADS
    ramet_launch_suspending(&request, ((PlanObject *)args[2])->plan, &report);
    Py_END_ALLOW_THREADS
    if (report.pid < 0)
        return core_raise_errno(report.pid);
    core_handle_hold((HandleObject *)args[3], report.pid, report.pidfd);
    return core_failure(&report);
}

