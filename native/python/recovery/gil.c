/* Python's own word on who holds the GIL, and libc's on who holds its mutexes: no call tells. */
#define Py_BUILD_CORE 1 /* before the first header of Python's */
#include "gil.h"

#include <pthread.h>
#include <time.h>

#include "condvar.h"
#include "futex.h"
#include "libc_thread.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#pragma GCC diagnostic pop

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

/* ---- its mutexes */

#define PATIENCE_NANOSECONDS INT64_C(200000000)

#ifdef __GLIBC__

#define PAUSE_NANOSECONDS 500000

/* The owner is written after the lock is taken and wiped before it is given back: it is nobody for a moment, or for ever. */
static bool is_left(const pthread_mutex_t *mutex, int tid)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    const int64_t deadline = ramet_now() + PATIENCE_NANOSECONDS;
    while (__atomic_load_n(&mutex->__data.__lock, __ATOMIC_ACQUIRE) != 0) {
        int owner = __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED);
        if (owner != 0 || ramet_now() >= deadline)
            return owner == 0 || owner == tid;
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
    }
    return false;
}

static int owner_of(const pthread_mutex_t *mutex)
{
    return __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED);
}

static void unlock(pthread_mutex_t *mutex, int tid)
{
    if (is_left(mutex, tid))
        pthread_mutex_unlock(mutex);
    /* He may have been woken to take it, and another sleeps on. */
    ramet_syscall3(__NR_futex, &mutex->__data.__lock, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
}

#else

static int owner_of(const pthread_mutex_t *mutex)
{
    (void)mutex;
    return 0;
}

static bool is_left(const pthread_mutex_t *mutex, int tid)
{
    (void)mutex, (void)tid;
    return false;
}

static void unlock(pthread_mutex_t *mutex, int tid)
{
    (void)mutex, (void)tid; /* musl writes no owner into such a one */
}

#endif

/* ---- who waits */

#define MOST_TRIES 10
#define PAUSE_OF_TRIES_NANOSECONDS 1000000

/* How long the living may take until they have a processor, before they are taken for dead: in nanoseconds. */
struct patience {
    int64_t with_owner, with_waiters;
};

static const struct patience after_a_waiter = {PATIENCE_NANOSECONDS, 20 * 1000 * 1000};
static const struct patience after_a_holder = {INT64_C(2000000000), INT64_C(1000000000)};

/* Who has the mutex may be waiting for the dead. */
static bool lock(pthread_mutex_t *mutex, pthread_cond_t *condvar, int64_t patience)
{
    const struct timespec pause = {.tv_nsec = PAUSE_OF_TRIES_NANOSECONDS};
    int64_t deadline = ramet_now() + patience;
    for (int tries = 0; tries < MOST_TRIES;) {
        if (pthread_mutex_trylock(mutex) == 0)
            return true;
        if (ramet_now() >= deadline) {
            ramet_condvar_let_go_on(condvar, owner_of(mutex));
            deadline += patience;
            tries++;
        }
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
    }
    return false;
}

static void heal(pthread_mutex_t *mutex, pthread_cond_t *condvar, const struct patience *patience)
{
    if (!lock(mutex, condvar, patience->with_owner))
        return;
    ramet_condvar_heal(condvar, patience->with_waiters);
    pthread_mutex_unlock(mutex);
}

static void heal_both(gil_state *gil, const struct patience *patience)
{
    heal(&gil->mutex, &gil->cond, patience);
    heal(&gil->switch_mutex, &gil->switch_cond, patience);
}

void core_gil_mend(const PyThreadState *dead, int tid)
{
    gil_state *gil = gil_of(dead);
    if (is_left(&gil->switch_mutex, tid) && is_left(&gil->mutex, tid)) /* both only when it was free, and taken */
        __atomic_store_n((int *)&gil->locked, 0, __ATOMIC_RELEASE);
    unlock(&gil->switch_mutex, tid);
    unlock(&gil->mutex, tid);
    heal_both(gil, &after_a_waiter);
}

/* Threads of its own may have died, which are rare; the living are slow on a busy machine. */
void core_gil_mend_after_holder(const PyThreadState *dead)
{
    heal_both(gil_of(dead), &after_a_holder);
}

void core_gil_strike_off(const int *word)
{
    gil_state *gil = gil_of_main();
    ramet_condvar_strike_off(&gil->cond, word);
    ramet_condvar_strike_off(&gil->switch_cond, word);
}

/* ---- who asks for it */

/* The bit is named in an internal header that cannot be read beside the others. */
#define DROP_REQUEST 1U

/* Its holder, told to give it up, waits until another has it: for ever, if who asked has died. Who lives asks again. */
void core_gil_forget_requests(PyThreadState *holder)
{
#if PY_VERSION_HEX >= 0x030d0000
    __atomic_fetch_and(&holder->eval_breaker, ~(uintptr_t)DROP_REQUEST, __ATOMIC_ACQ_REL);
#else
    __atomic_store_n((int *)&holder->interp->ceval.gil_drop_request, 0, __ATOMIC_RELEASE);
#endif
}

/* ---- who has it */

static bool has(gil_state *gil, const PyThreadState *state)
{
    return __atomic_load_n((int *)&gil->locked, __ATOMIC_ACQUIRE) > 0 &&
           __atomic_load_n((const PyThreadState **)&gil->last_holder, __ATOMIC_RELAXED) == state;
}

bool core_gil_is_with(const PyThreadState *state)
{
    return has(gil_of(state), state);
}

void core_gil_release(const PyThreadState *dead)
{
    gil_state *gil = gil_of(dead);
    if (!has(gil, dead))
        return;
    pthread_mutex_lock(&gil->mutex); /* whose holder lives, or has an recovering thread, who begins with that */
    if (has(gil, dead)) {
        __atomic_store_n((int *)&gil->locked, 0, __ATOMIC_RELEASE);
        pthread_cond_signal(&gil->cond);
    }
    pthread_mutex_unlock(&gil->mutex);
}

/* Under its mutex, without which nobody gives the GIL up: so the holder's state is there, and what libc keeps of its thread. */
static bool holder_has_ended(gil_state *gil)
{
    const PyThreadState *holder = __atomic_load_n((const PyThreadState **)&gil->last_holder, __ATOMIC_RELAXED);
    return __atomic_load_n((int *)&gil->locked, __ATOMIC_ACQUIRE) > 0 && holder != NULL && holder->thread_id != 0 &&
           ramet_thread_has_ended(holder->thread_id);
}

bool core_gil_release_of_ended(const PyThreadState *state)
{
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
