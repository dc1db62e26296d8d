/* Waiting on a futex word with a timeout. */
#include "futex.h"

#include <errno.h>

#define SECOND 1000000000

/* By a raw call: libc's may write errno, and a host thread calls this while its thread-local block is lent. */
int64_t ramet_now(void)
{
    struct timespec now;
    ramet_syscall2(__NR_clock_gettime, CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

int ramet_futex_wait_while(int *word, int value, int64_t timeout)
{
    struct timespec left = {.tv_sec = timeout / SECOND, .tv_nsec = timeout % SECOND};
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
        return 0;
    long error = ramet_futex_wait(word, value, timeout < 0 ? NULL : &left);
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
        return 0;
    return error == -ETIMEDOUT ? -ETIMEDOUT : -EINTR;
}
