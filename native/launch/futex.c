/* Waiting on a word with a deadline. */
#include "futex.h"

#include <errno.h>

#define SECOND 1000000000

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
