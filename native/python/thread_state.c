/* The Python thread state of a child that shares the memory: whose it is, and how it ends. */
#define _GNU_SOURCE
#include "births.h"

#include <dlfcn.h>

bool core_is_attached(PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030d0000
    return PyThreadState_GetUnchecked() == state;
#else
    return _PyThreadState_UncheckedGet() == state;
#endif
}

/*
 * In the thread that lent the block, without the GIL unless the child died holding it: then the
 * state is attached still, and so the GIL is this thread's. Gives the GIL back in either case.
 */
void core_bury(PyThreadState *state)
{
    if (!core_is_attached(state))
        PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
}

/*
 * CPython 3.14 and later measure the stack by the bounds that libc knows of; on a block of the
 * caller's they must be told. Late 3.14 releases have the call, earlier Pythons do not measure.
 */
void core_set_stack_bounds(PyThreadState *state, const struct ramet_stack *stack)
{
    static int (*set)(PyThreadState *, void *, size_t);
    static bool asked;
    if (!asked) {
        *(void **)&set = dlsym(RTLD_DEFAULT, "PyUnstable_ThreadState_SetStackProtection");
        asked = true;
    }
    if (set != NULL && stack != NULL && set(state, (void *)stack->base, stack->size) < 0)
        PyErr_Clear();
}
