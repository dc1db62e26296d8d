/* No call of Python's takes an interpreter off its list. */
#include "python_inside.h"
#include "python_internals.h"

#if PY_VERSION_HEX >= 0x030c0000

/* The inline functions of the internal headers would need what Python does not export. */
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

bool core_knows_interpreters(void)
{
    PyInterpreterState *head = PyInterpreterState_Head();
    return head == _PyRuntime.interpreters.head && head->id == PyInterpreterState_GetID(head) &&
           head->next == PyInterpreterState_Next(head);
}

void core_interpreter_hide(PyInterpreterState *interpreter)
{
    if (!core_is_on(CORE_INTERPRETERS))
        return;
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
    if (!core_is_on(CORE_INTERPRETERS))
        return;
    lock();
    interpreter->next = _PyRuntime.interpreters.head;
    _PyRuntime.interpreters.head = interpreter;
    unlock();
}

#else

bool core_knows_interpreters(void)
{
    return true; /* there is none to hide */
}

void core_interpreter_hide(PyInterpreterState *interpreter)
{
    (void)interpreter;
}

void core_interpreter_show(PyInterpreterState *interpreter)
{
    (void)interpreter;
}

#endif
