/* ramet._core.do_steps: a plan carried out in the calling task. */
#include "plan_object.h"

bool core_do_plan(const struct ramet_plan *plan, int *failed_step, int *error)
{
    struct ramet_launch launch = {.plan = plan, .failed_step = -1};
    launch.slots = calloc(plan->slots + 1, sizeof *launch.slots);
    if (launch.slots == NULL)
        return false;
    launch.mask = ramet_block_signals();
    ramet_do_steps(&launch);
    ramet_set_signal_mask(launch.mask);
    free(launch.slots);
    *failed_step = launch.failed_step;
    *error = launch.error;
    return true;
}

PyObject *core_do_steps(PyObject *module, PyObject *object)
{
    int failed_step, error;
    (void)module;
    if (!PyObject_TypeCheck(object, &Plan_Type))
        return core_raise_invalid(PyExc_TypeError, "plan", "a Plan", object);
    if (!core_do_plan(((PlanObject *)object)->plan, &failed_step, &error))
        return PyErr_NoMemory();
    return Py_BuildValue("ii", failed_step, error);
}
