/* Which parts of the recovery work, and the switch for all. */
#include "python_inside.h"

#include <stdlib.h>

#define NOT_YET "no function in shared memory was started"
#define SWITCHED_OFF "RAMET_RECOVERY=off"

static struct part {
    const char *name, *why_off;
} parts[CORE_PARTS] = {
    [CORE_GIL] = {"interpreter lock", NOT_YET},         [CORE_FRAMES] = {"frames", NOT_YET},
    [CORE_COLLECTOR] = {"garbage collector", NOT_YET},  [CORE_OBJECTS] = {"objects", NOT_YET},
    [CORE_FILES] = {"buffered files", NOT_YET},         [CORE_INTERPRETERS] = {"list of interpreters", NOT_YET},
};

static const char *const names_of_libc[RAMET_LIBC_PARTS] = {
    [RAMET_CONDVARS] = "condition variables",
    [RAMET_MUTEXES] = "mutexes",
    [RAMET_ARENAS] = "malloc",
    [RAMET_THREAD_LIST] = "threads of libraries",
};

static bool switched_off;

bool core_recovery_read_switch(void)
{
    const char *value = getenv("RAMET_RECOVERY");
    switched_off = value != NULL && strcmp(value, "off") == 0;
    if (value == NULL || *value == '\0' || switched_off || strcmp(value, "on") == 0)
        return true;
    PyErr_Format(PyExc_ValueError, "invalid RAMET_RECOVERY in the environment: expected 'off' or 'on', got '%.200s'", value);
    return false;
}

const char *core_recovery_switch(void)
{
    return switched_off ? SWITCHED_OFF : NULL;
}

void core_set_part(enum core_part part, const char *why_off)
{
    parts[part].why_off = switched_off ? SWITCHED_OFF : why_off;
}

bool core_is_on(enum core_part part)
{
    return parts[part].why_off == NULL;
}

static bool add(PyObject *status, const char *name, const char *why_off)
{
    PyObject *why = why_off == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(why_off);
    bool added = why != NULL && PyDict_SetItemString(status, name, why) == 0;
    Py_XDECREF(why);
    return added;
}

PyObject *core_recovery_status(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    PyObject *status = PyDict_New();
    bool good = status != NULL;
    for (int i = 0; good && i < RAMET_LIBC_PARTS; i++)
        good = add(status, names_of_libc[i], ramet_why_off(i));
    for (int i = 0; good && i < CORE_PARTS; i++)
        good = add(status, parts[i].name, parts[i].why_off);
    if (!good)
        Py_CLEAR(status);
    return status;
}
