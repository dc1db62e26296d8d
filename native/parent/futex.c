/* Nanoseconds here, struct timespec in the kernel. */
#include "futex.h"

#include <errno.h>
#include <linux/time_types.h>
#include <time.h>

static struct __kernel_timespec of(int64_t nanoseconds)
{
    return (struct __kernel_timespec){.tv_sec = nanoseconds / RAMET_SECOND, .tv_nsec = nanoseconds % RAMET_SECOND};
}

int64_t ramet_now(void)
{
    struct __kernel_timespec now;
    ramet_syscall2(__NR_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * RAMET_SECOND + now.tv_nsec;
}

void ramet_pause(int64_t nanoseconds)
{
    const struct __kernel_timespec pause = of(nanoseconds);
    ramet_syscall2(__NR_nanosleep, &pause, NULL);
}

long ramet_futex_wait_until(int *word, int value, int64_t time)
{
    const struct __kernel_timespec moment = of(time);
    return ramet_syscall6(__NR_futex, (long)word, FUTEX_WAIT_BITSET, value, (long)(time < 0 ? NULL : &moment), 0,
                          FUTEX_BITSET_MATCH_ANY);
}

int ramet_futex_wait_while(int *word, int value, int64_t timeout)
{
    const struct __kernel_timespec left = of(timeout);
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
        return 0;
    long error = ramet_futex_wait(word, value, timeout < 0 ? NULL : &left);
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
        return 0;
    return error == -ETIMEDOUT ? -ETIMEDOUT : -EINTR;
}
