/* Futex words with libc's clock and with a deadline. */
#ifndef RAMET_FUTEX_H
#define RAMET_FUTEX_H

#include <time.h>

#include "futex_word.h"

/* The monotonic clock in nanoseconds. */
int64_t ramet_now(void);

/* ramet_futex_wait() until a time of the monotonic clock; NULL for ever. */
static inline long ramet_futex_wait_until(int *word, int value, const struct timespec *time)
{
    return ramet_syscall6(__NR_futex, (long)word, FUTEX_WAIT_BITSET, value, (long)time, 0, FUTEX_BITSET_MATCH_ANY);
}

/* Waits once while *word is value; timeout in nanoseconds, negative for none. 0, -ETIMEDOUT or -EINTR. */
int ramet_futex_wait_while(int *word, int value, int64_t timeout);

#endif
