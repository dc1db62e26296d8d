/*
 * VM|VFORK: the calling thread is suspended until its child execs or ends, and lends it everything:
 * stack, thread-local block, memory. A Python function gets a thread state of its own all the same,
 * so that an exec in the midst of nested frames leaves the caller's state as it was.
 */
#include "births.h"

#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <unistd.h>

#include "orphan.h"

struct suspending {
    PyThreadState *state;
    ramet_sigset mask;
    bool clear_handlers;
    pid_t owner; /* 0: do not die with it */
    const struct ramet_stack *stack;
};

static int run_python(void *fn, void *arg, void *context)
{
    struct suspending *call = context;
    if (call->clear_handlers)
        ramet_clear_handlers();
    if (call->owner != 0)
        ramet_die_with(call->owner);
    ramet_set_signal_mask(call->mask);
    core_set_stack_bounds(call->state, call->stack);
    PyEval_RestoreThread(call->state);
    int code = core_invoke(fn, arg);
    PyEval_SaveThread();
    return code;
}

/*
 * Where Python notes which state a callback from native code (PyGILState_Ensure) is to use on this
 * thread. Since 3.12 that is always the attached one. Before, there is no call to change it; but it
 * is an ordinary key, known by what it holds.
 */
static bool find_callback_key(pthread_key_t *found)
{
    static bool known;
    static pthread_key_t key;
    const void *state = PyGILState_GetThisThreadState();
    for (unsigned int i = 0; !known && state != NULL && i < PTHREAD_KEYS_MAX; i++)
        if (pthread_getspecific(i) == state) {
            key = i;
            known = true;
        }
    *found = key;
    return known && state != NULL && pthread_getspecific(key) == state;
}

static long birth_of_python(struct core_birth *birth)
{
    struct suspending call = {
        .state = PyThreadState_New(PyInterpreterState_Get()),
        .clear_handlers = core_clears_handlers(birth),
        .owner = core_owner(birth),
        .stack = birth->stack,
    };
    if (call.state == NULL)
        return -ENOMEM;
    struct ramet_entry entry = {run_python, &call, birth->fn, birth->arg, core_exit_call(birth)};
    pthread_key_t key = 0;
    bool has_key = PY_VERSION_HEX < 0x030c0000 && find_callback_key(&key);
    void *noted = has_key ? pthread_getspecific(key) : NULL;
    PyThreadState *mine = PyEval_SaveThread();
    if (has_key)
        pthread_setspecific(key, call.state); /* else a callback in the child would wait for itself */
    call.mask = ramet_block_signals();
    long pid = ramet_birth(&birth->request, &entry);
    ramet_set_signal_mask(call.mask);
    if (has_key)
        pthread_setspecific(key, noted);
    core_bury(call.state);
    PyEval_RestoreThread(mine);
    return pid;
}

static long birth_of_native(struct core_birth *birth)
{
    PyThreadState *mine = PyEval_SaveThread();
    ramet_sigset mask = ramet_block_signals();
    struct ramet_entry entry = {ramet_run_native, (void *)(uintptr_t)mask, birth->fn, birth->arg, core_exit_call(birth)};
    long pid = ramet_birth(&birth->request, &entry);
    ramet_set_signal_mask(mask);
    PyEval_RestoreThread(mine);
    return pid;
}

long core_birth_suspending(struct core_birth *birth)
{
    if (birth->stack != NULL)
        ramet_stack_occupy(birth->stack);
    long pid = birth->native ? birth_of_native(birth) : birth_of_python(birth);
    if (birth->stack != NULL)
        ramet_stack_leave(birth->stack);
    return pid;
}
