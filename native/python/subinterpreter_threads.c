/*
 * What a caller does in an interpreter that is not its own, it does in another thread: the GIL there
 * may be held by native code for long, or for ever, and the caller must not wait for it.
 */
#include "subinterpreter_threads.h"

#include "detached_thread.h"
#include "futex.h"

#define PATIENCE INT64_C(1000000000)

struct entering {
    struct core_interpreter_threads *threads;
    PyInterpreterState *host;
    void (*act)(void *context);
    void *context;
};

static void leave(struct core_interpreter_threads *threads)
{
    if (__atomic_sub_fetch(&threads->within, 1, __ATOMIC_ACQ_REL) == 0)
        ramet_futex_wake(&threads->within);
    ramet_host_release(threads->host);
}

static void *run(void *context)
{
    struct entering entering = *(struct entering *)context;
    PyMem_RawFree(context);
    PyThreadState *state = PyThreadState_New(entering.host);
    if (state != NULL) {
        PyEval_RestoreThread(state);
        entering.act(entering.context);
        PyThreadState_Clear(state);
        PyThreadState_DeleteCurrent();
    }
    leave(entering.threads);
    return NULL;
}

bool core_run_in_interpreter(struct core_interpreter_threads *threads, struct core_interpreter *interpreter,
                             void (*act)(void *context), void *context)
{
    struct entering *entering = PyMem_RawMalloc(sizeof *entering);
    if (entering == NULL)
        return false;
    *entering = (struct entering){threads, interpreter->state, act, context};
    ramet_host_hold(threads->host);
    __atomic_add_fetch(&threads->within, 1, __ATOMIC_RELAXED);
    if (ramet_start_detached_thread(run, entering, 0) == 0)
        return true;
    leave(threads);
    PyMem_RawFree(entering);
    return false;
}

bool core_await_interpreter_threads(struct core_interpreter_threads *threads)
{
    int64_t until = ramet_now() + PATIENCE;
    for (int within; (within = __atomic_load_n(&threads->within, __ATOMIC_ACQUIRE)) != 0;) {
        int64_t left = until - ramet_now();
        if (left <= 0)
            return false;
        ramet_futex_wait_while(&threads->within, within, left);
    }
    return true;
}
