#include "own_types.h"

#include <string.h>

#include "child_handle.h"
#include "clone_request.h"
#include "mapping.h"
#include "plan_object.h"

static PyTypeObject *const types[] = {&Ahead_Type, &Handle_Type, &Mapping_Type, &Underway_Type, &Request_Type, &Stack_Type,
                                      &TidWord_Type, &Plan_Type, &DeadlineThread_Type, &SharedTask_Type, &PrivateMapping_Type,
                                      &Channel_Type, &OwnMemory_Type, &HotPages_Type, &CloneOwner_Type, &PlainLink_Type, &Tracer_Type};
#define TYPES (sizeof types / sizeof *types)
static PyTypeObject as_compiled[TYPES];
static bool is_known;

static void keep_as_compiled(void)
{
    for (size_t i = 0; i < TYPES && !is_known; i++)
        memcpy(&as_compiled[i], types[i], sizeof *types[i]);
    is_known = true;
}

int core_add_types(PyObject *module)
{
    keep_as_compiled();
    for (size_t i = 0; i < TYPES; i++)
        if (PyModule_AddType(module, types[i]) < 0)
            return -1;
    return 0;
}

void core_renew_types(void)
{
    for (size_t i = 0; i < TYPES && is_known; i++)
        memcpy(types[i], &as_compiled[i], sizeof *types[i]);
}
