/* Which state holds the GIL, and which thread holds its mutexes: no call tells. */
#include "python_inside.h"
#include "python_internals.h"

#include <time.h>

#include "futex.h"
#include "libc_thread.h"

typedef struct _gil_runtime_state gil_state;

static gil_state *gil_of(const PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030c0000
    return state->interp->ceval.gil;
#else
    (void)state;
    return &_PyRuntime.ceval.gil;
#endif
}

static gil_state *gil_of_main(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyInterpreterState_Main()->ceval.gil;
#else
    return &_PyRuntime.ceval.gil;
#endif
}

/* ---- the waiting */

#define PATIENCE_NANOSECONDS INT64_C(200000000)
#define MOST_TRIES 10
#define PAUSE_OF_TRIES_NANOSECONDS 1000000

/* How long the living may take until they have a processor, before they are taken for dead: in nanoseconds. */
struct patience {
    int64_t with_owner, with_waiters;
};

static const struct patience after_a_waiter = {PATIENCE_NANOSECONDS, 20 * 1000 * 1000};
static const struct patience after_a_holder = {INT64_C(2000000000), INT64_C(1000000000)};

/* The thread that has the mutex may be waiting for the dead task. */
static bool lock(pthread_mutex_t *mutex, pthread_cond_t *condvar, int64_t patience)
{
    int64_t deadline = ramet_now() + patience;
    for (int tries = 0; tries < MOST_TRIES;) {
        if (pthread_mutex_trylock(mutex) == 0)
            return true;
        if (ramet_now() >= deadline) {
            ramet_condvar_let_go_on(condvar, ramet_mutex_owner(mutex));
            deadline += patience;
            tries++;
        }
        ramet_pause(PAUSE_OF_TRIES_NANOSECONDS);
    }
    return false;
}

static void mend(pthread_mutex_t *mutex, pthread_cond_t *condvar, const struct patience *patience)
{
    if (!lock(mutex, condvar, patience->with_owner))
        return;
    ramet_condvar_mend(condvar, patience->with_waiters);
    pthread_mutex_unlock(mutex);
}

static void mend_both(gil_state *gil, const struct patience *patience)
{
    mend(&gil->mutex, &gil->cond, patience);
    mend(&gil->switch_mutex, &gil->switch_cond, patience);
}

void core_gil_mend(const PyThreadState *dead, int tid)
{
    if (!core_is_on(CORE_GIL))
        return;
    gil_state *gil = gil_of(dead);
    /* Both only when it was free, and taken. */
    if (ramet_mutex_is_left(&gil->switch_mutex, tid) && ramet_mutex_is_left(&gil->mutex, tid))
        __atomic_store_n((int *)&gil->locked, 0, __ATOMIC_RELEASE);
    ramet_mutex_give_back(&gil->switch_mutex, tid);
    ramet_mutex_give_back(&gil->mutex, tid);
    mend_both(gil, &after_a_waiter);
}

/* Threads of its own may have died, which are rare; the living are slow on a busy machine. */
void core_gil_mend_after_holder(const PyThreadState *dead)
{
    if (core_is_on(CORE_GIL))
        mend_both(gil_of(dead), &after_a_holder);
}

void core_gil_remove_waiter(const int *word)
{
    if (!core_is_on(CORE_GIL))
        return;
    gil_state *gil = gil_of_main();
    ramet_condvar_remove(&gil->cond, word);
    ramet_condvar_remove(&gil->switch_cond, word);
}

/* ---- requests */

/* The bit is named in an internal header that cannot be read beside the others. */
#define DROP_REQUEST 1U

/*
 * Its holder, told to give it up, waits until another has it: for ever, if the one that asked has died. The living ask
 * again.
 */
void core_gil_forget_requests(PyThreadState *holder)
{
    if (!core_is_on(CORE_GIL))
        return;
#if PY_VERSION_HEX >= 0x030d0000
    __atomic_fetch_and(&holder->eval_breaker, ~(uintptr_t)DROP_REQUEST, __ATOMIC_ACQ_REL);
#else
    __atomic_store_n((int *)&holder->interp->ceval.gil_drop_request, 0, __ATOMIC_RELEASE);
#endif
}

/* ---- the holder */

static bool has(gil_state *gil, const PyThreadState *state)
{
    return __atomic_load_n((int *)&gil->locked, __ATOMIC_ACQUIRE) > 0 &&
           __atomic_load_n((const PyThreadState **)&gil->last_holder, __ATOMIC_RELAXED) == state;
}

bool core_gil_is_with(const PyThreadState *state)
{
    return core_is_on(CORE_GIL) && has(gil_of(state), state);
}

void core_gil_release(const PyThreadState *dead)
{
    if (!core_is_on(CORE_GIL))
        return;
    gil_state *gil = gil_of(dead);
    if (!has(gil, dead))
        return;
    pthread_mutex_lock(&gil->mutex); /* whose holder lives, or a recovering thread mends first */
    if (has(gil, dead)) {
        __atomic_store_n((int *)&gil->locked, 0, __ATOMIC_RELEASE);
        pthread_cond_signal(&gil->cond);
    }
    pthread_mutex_unlock(&gil->mutex);
}

/* Under its mutex, without which no thread gives the GIL up: so the holder's state is there, and what libc keeps of its thread. */
static bool holder_has_ended(gil_state *gil)
{
    const PyThreadState *holder = __atomic_load_n((const PyThreadState **)&gil->last_holder, __ATOMIC_RELAXED);
    return __atomic_load_n((int *)&gil->locked, __ATOMIC_ACQUIRE) > 0 && holder != NULL && holder->thread_id != 0 &&
           ramet_thread_has_ended(holder->thread_id);
}

bool core_gil_release_of_ended(const PyThreadState *state)
{
    if (!core_is_on(CORE_GIL))
        return false;
    gil_state *gil = gil_of(state);
    pthread_mutex_lock(&gil->mutex);
    bool ended = holder_has_ended(gil);
    if (ended) {
        __atomic_store_n((int *)&gil->locked, 0, __ATOMIC_RELEASE);
        pthread_cond_signal(&gil->cond);
    }
    pthread_mutex_unlock(&gil->mutex);
    return ended;
}

/* ---- whether it is where it is looked for */

#define MICROSECONDS 1e6

#if PY_VERSION_HEX >= 0x030d0000

static bool knows_requests(const PyThreadState *mine)
{
    (void)mine;
    return true; /* its word is in a public header */
}

#else

/* Its word has the limit of recursions beside it. */
static bool knows_requests(const PyThreadState *mine)
{
    return mine->interp->ceval.recursion_limit == Py_GetRecursionLimit();
}

#endif

bool core_knows_gil(double switch_interval)
{
    gil_state gil;
    const PyThreadState *mine = PyThreadState_Get();
    if (ramet_read_memory(&gil, (uintptr_t)gil_of(mine), sizeof gil) < sizeof gil)
        return false;
    double off_by = (double)gil.interval - switch_interval * MICROSECONDS;
    return has(&gil, mine) && off_by > -2 && off_by < 2 && ramet_condvar_is_monotonic(&gil.cond) &&
           ramet_condvar_is_monotonic(&gil.switch_cond) && ramet_mutex_is_plain(&gil.mutex) &&
           ramet_mutex_is_plain(&gil.switch_mutex) && gil_of(mine) == gil_of_main() && knows_requests(mine);
}
