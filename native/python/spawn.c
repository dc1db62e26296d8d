/* ramet._core.spawn: a program by its plan. */
#include "plan_object.h"

PyObject *core_spawn(PyObject *module, PyObject *args)
{
    struct ramet_request request = {0};
    struct ramet_report report = {.failed_step = -1};
    Py_buffer block;
    PlanObject *plan;
    int legacy, stopped;
    long pid;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*ppO!:spawn", &block, &legacy, &stopped, &Plan_Type, &plan))
        return NULL;
    bool read = core_read_args(&request.args, &block);
    PyBuffer_Release(&block);
    if (!read)
        return NULL;
    request.size = sizeof request.args;
    request.legacy = legacy;
    request.stopped = stopped;
    Py_BEGIN_ALLOW_THREADS
    pid = ramet_spawn(&request, plan->plan, &report);
    Py_END_ALLOW_THREADS
    if (pid < 0)
        return core_raise_errno(pid);
    return Py_BuildValue("lii", pid, report.failed_step, report.error);
}
