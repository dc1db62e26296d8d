/* Waiting on a word and waking its waiters. */
#ifndef RAMET_FUTEX_H
#define RAMET_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <time.h>

#include "child.h"

/*
 * Both without FUTEX_PRIVATE_FLAG: the kernel wakes the word of CHILD_CLEARTID by its shared key,
 * and a waiter by private key would sleep on (kernel/fork.c, mm_release).
 */
static inline long ramet_futex_wait(int *word, int value, const struct timespec *timeout)
{
    return ramet_syscall4(__NR_futex, word, FUTEX_WAIT, value, timeout);
}

/* The same with a moment of the monotonic clock. */
static inline long ramet_futex_wait_until(int *word, int value, const struct timespec *moment)
{
    return ramet_syscall6(__NR_futex, (long)word, FUTEX_WAIT_BITSET, value, (long)moment, 0, FUTEX_BITSET_MATCH_ANY);
}

/* The monotonic clock in nanoseconds. */
int64_t ramet_now(void);

static inline void ramet_futex_wake(int *word)
{
    ramet_syscall3(__NR_futex, word, FUTEX_WAKE, INT_MAX);
}

/* Waits while *word is value; timeout in nanoseconds, negative for ever. 0, -ETIMEDOUT or -EINTR. */
int ramet_futex_wait_while(int *word, int value, int64_t timeout);

#endif
