/* Waiting on a futex word and waking its waiters. */
#pragma once

#include <linux/futex.h>

#include "child.h"

#define RAMET_ALL_WAITERS 0x7fffffff

/*
 * All without FUTEX_PRIVATE_FLAG: the kernel wakes the word of CHILD_CLEARTID by its shared key,
 * and a waiter by private key would sleep on (kernel/fork.c, mm_release).
 *
 * timeout: the kernel's struct __kernel_timespec, NULL for none. The call may return for no reason.
 */
static inline long ramet_futex_wait(int *word, int value, const void *timeout)
{
    return ramet_syscall4(__NR_futex, word, FUTEX_WAIT, value, timeout);
}

static inline void ramet_futex_wake(int *word)
{
    ramet_syscall3(__NR_futex, word, FUTEX_WAKE, RAMET_ALL_WAITERS);
}

/* Gives the word a value and wakes all who wait on it. */
static inline void ramet_futex_set(int *word, int value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    ramet_futex_wake(word);
}

/* Waits until the word has another value, for ever if need be. */
static inline void ramet_futex_await_change(int *word, int value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
        ramet_futex_wait(word, value, NULL);
}
