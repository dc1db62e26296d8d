/* The one place that knows Python's internals from within: no call of Python's takes an interpreter off its list. */
#define Py_BUILD_CORE 1 /* before the first header of Python's */
#include "interpreter_list.h"

#if PY_VERSION_HEX >= 0x030c0000

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#pragma GCC diagnostic pop

/* The inline functions of those headers would need what Python does not export. */
static void lock(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyMutex_Lock(&_PyRuntime.interpreters.mutex);
#else
    PyThread_acquire_lock(_PyRuntime.interpreters.mutex, WAIT_LOCK);
#endif
}

static void unlock(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyMutex_Unlock(&_PyRuntime.interpreters.mutex);
#else
    PyThread_release_lock(_PyRuntime.interpreters.mutex);
#endif
}

void core_interpreter_hide(PyInterpreterState *interpreter)
{
    lock();
    PyInterpreterState **link = &_PyRuntime.interpreters.head;
    while (*link != NULL && *link != interpreter)
        link = &(*link)->next;
    if (*link != NULL)
        *link = interpreter->next;
    unlock();
}

void core_interpreter_show(PyInterpreterState *interpreter)
{
    lock();
    interpreter->next = _PyRuntime.interpreters.head;
    _PyRuntime.interpreters.head = interpreter;
    unlock();
}

#else

void core_interpreter_hide(PyInterpreterState *interpreter)
{
    (void)interpreter;
}

void core_interpreter_show(PyInterpreterState *interpreter)
{
    (void)interpreter;
}

#endif
