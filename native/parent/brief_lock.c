/* Who waits looks whether the holder lives: /proc tells of most, and time of the others. */
#include "brief_lock.h"

#include <stdbool.h>

#include "child.h"
#include "futex.h"
#include "task_state.h"

#define LONGEST_USE (RAMET_SECOND / 5)
#define PAUSE (RAMET_MILLISECOND / 2)

/*
 * Each use takes less than a microsecond, or until the task gets a processor again. A tid may be one of another pid
 * namespace, or of a process that has forked: for such one the time is what tells.
 */
static bool may_be_taken_over(int holder, int64_t since)
{
    return ramet_now() >= since + LONGEST_USE || ramet_task_has_ended(holder);
}

void ramet_brief_lock_take(struct ramet_brief_lock *lock)
{
    const int me = (int)ramet_syscall0(__NR_gettid);
    int64_t since = 0;
    int holder = 0, seen = 0;
    while (!__atomic_compare_exchange_n(&lock->holder, &holder, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        if (holder != seen) {
            seen = holder;
            since = ramet_now();
        }
        if (may_be_taken_over(holder, since))
            continue; /* unless another task does so first */
        ramet_pause(PAUSE);
        holder = 0;
    }
}

void ramet_brief_lock_give(struct ramet_brief_lock *lock)
{
    int me = (int)ramet_syscall0(__NR_gettid); /* else another has taken it over */
    __atomic_compare_exchange_n(&lock->holder, &me, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}
