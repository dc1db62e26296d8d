/*
 * What a caller does in an interpreter that is not its own, it does in another thread: the GIL there
 * may be held by native code for long, or for ever, and the caller must not wait for it.
 */
#include "subinterpreter_visits.h"

#include "detached_thread.h"
#include "futex.h"

#define PATIENCE INT64_C(1000000000)

struct visit {
    struct core_visits *visits;
    PyInterpreterState *host;
    void (*act)(void *context);
    void *context;
};

static void leave(struct core_visits *visits)
{
    if (__atomic_sub_fetch(&visits->within, 1, __ATOMIC_ACQ_REL) == 0)
        ramet_futex_wake(&visits->within);
    ramet_host_release(visits->host);
}

static void *run(void *context)
{
    struct visit visit = *(struct visit *)context;
    PyMem_RawFree(context);
    PyThreadState *state = PyThreadState_New(visit.host);
    if (state != NULL) {
        PyEval_RestoreThread(state);
        visit.act(visit.context);
        PyThreadState_Clear(state);
        PyThreadState_DeleteCurrent();
    }
    leave(visit.visits);
    return NULL;
}

bool core_visit(struct core_visits *visits, struct core_interpreter *interpreter, void (*act)(void *context),
                void *context)
{
    struct visit *visit = PyMem_RawMalloc(sizeof *visit);
    if (visit == NULL)
        return false;
    *visit = (struct visit){visits, interpreter->state, act, context};
    ramet_host_hold(visits->host);
    __atomic_add_fetch(&visits->within, 1, __ATOMIC_RELAXED);
    if (ramet_start_detached_thread(run, visit, 0) == 0)
        return true;
    leave(visits);
    PyMem_RawFree(visit);
    return false;
}

bool core_end_visits(struct core_visits *visits)
{
    int64_t until = ramet_now() + PATIENCE;
    for (int within; (within = __atomic_load_n(&visits->within, __ATOMIC_ACQUIRE)) != 0;) {
        int64_t left = until - ramet_now();
        if (left <= 0)
            return false;
        ramet_futex_wait_while(&visits->within, within, left);
    }
    return true;
}
