/*
 * A child of a vfork on the main thread has that thread's identity. signal.signal() would take it for
 * the main thread, and would note a handler that only the child's own table has; the handlers of
 * signals that the caller gets meanwhile would run in the child. While it runs, no thread is the main
 * thread: the one that is sleeps.
 */
#include "clone_ways.h"
#include "python_internals.h"

#define NO_THREAD 0UL

bool core_is_main_thread(void)
{
    return _PyRuntime.main_thread == PyThread_get_thread_ident();
}

/* Private to CPython, and the layout may be another's: then another number stands there. */
bool core_hide_main_thread(void)
{
    if (!core_is_main_thread())
        return false;
    _PyRuntime.main_thread = NO_THREAD;
    return true;
}

void core_show_main_thread(void)
{
    _PyRuntime.main_thread = PyThread_get_thread_ident();
}
