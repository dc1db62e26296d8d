/* The lock word and the owner of glibc's mutexes, as <bits/struct_mutex.h> has them. musl writes no owner into such a one. */
#include "libc_inside.h"


#include "futex.h"

#ifdef __GLIBC__

#define PATIENCE_NANOSECONDS INT64_C(200000000)
#define PAUSE_NANOSECONDS 500000

int ramet_mutex_owner(const pthread_mutex_t *mutex)
{
    return ramet_is_on(RAMET_MUTEXES) ? __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED) : 0;
}

/* The owner is written after the lock is taken and wiped before it is given back: there is none for a moment, or for ever. */
bool ramet_mutex_is_left(const pthread_mutex_t *mutex, int tid)
{
    const int64_t deadline = ramet_now() + PATIENCE_NANOSECONDS;
    while (ramet_is_on(RAMET_MUTEXES) && __atomic_load_n(&mutex->__data.__lock, __ATOMIC_ACQUIRE) != 0) {
        int owner = ramet_mutex_owner(mutex);
        if (owner != 0 || ramet_now() >= deadline)
            return owner == 0 || owner == tid;
        ramet_pause(PAUSE_NANOSECONDS);
    }
    return false;
}

void ramet_mutex_give_back(pthread_mutex_t *mutex, int tid)
{
    if (!ramet_is_on(RAMET_MUTEXES))
        return;
    if (ramet_mutex_is_left(mutex, tid))
        pthread_mutex_unlock(mutex);
    ramet_syscall3(__NR_futex, &mutex->__data.__lock, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
}

bool ramet_mutex_is_plain(const pthread_mutex_t *mutex)
{
    return mutex->__data.__lock >= 0 && mutex->__data.__lock <= 2 && mutex->__data.__kind == PTHREAD_MUTEX_TIMED_NP;
}

bool ramet_mutex_is_known(pthread_mutex_t *mutex, int tid)
{
    pthread_mutex_lock(mutex);
    bool has_owner = ramet_mutex_owner(mutex) == tid && ramet_mutex_is_left(mutex, tid);
    pthread_mutex_unlock(mutex);
    return has_owner && ramet_mutex_owner(mutex) == 0 && !ramet_mutex_is_left(mutex, tid);
}

#else

bool ramet_mutex_is_plain(const pthread_mutex_t *mutex)
{
    return mutex != NULL;
}

bool ramet_mutex_is_known(pthread_mutex_t *mutex, int tid)
{
    (void)mutex, (void)tid;
    return false;
}

int ramet_mutex_owner(const pthread_mutex_t *mutex)
{
    (void)mutex;
    return 0;
}

bool ramet_mutex_is_left(const pthread_mutex_t *mutex, int tid)
{
    (void)mutex, (void)tid;
    return false;
}

void ramet_mutex_give_back(pthread_mutex_t *mutex, int tid)
{
    (void)mutex, (void)tid;
}

#endif
