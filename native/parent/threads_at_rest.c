/* The other threads of this process, by /proc/self/task and raw calls. */
#include "threads_at_rest.h"

#include "futex.h"
#include "listing.h"
#include "proc_file.h"
#include "task_state.h"

#define LONGEST_WAIT (30 * RAMET_MILLISECOND)
#define PAUSE (RAMET_MILLISECOND / 10)

static bool is_at_rest(long number)
{
    struct ramet_syscall_state at = ramet_task_syscall(number);
    return ramet_is_at_safe_point(&at) || ramet_listed_task_has_ended(number);
}

/* False when that time has come. */
static bool pauses_before(int64_t deadline)
{
    if (ramet_now() >= deadline)
        return false;
    ramet_pause(PAUSE);
    return true;
}

/* One look at each, in which it may come to rest until the deadline; 0: it must be at rest. */
static bool each_rests(struct ramet_listing *tasks, int64_t deadline)
{
    const long own = ramet_proc_own_number();
    for (long number; (number = ramet_listing_next(tasks)) >= 0;)
        while (number != own && !is_at_rest(number))
            if (!pauses_before(deadline))
                return false;
    return tasks->length == 0;
}

bool ramet_each_thread_at_rest(int64_t nanoseconds)
{
    struct ramet_listing tasks;
    ramet_listing_open(&tasks, "/proc/self/task");
    bool rest = each_rests(&tasks, ramet_now() + nanoseconds);
    ramet_listing_close(&tasks);
    return rest;
}

bool ramet_all_threads_at_rest(int64_t nanoseconds)
{
    const int64_t deadline = ramet_now() + nanoseconds;
    struct ramet_listing tasks;
    bool rest = false;
    ramet_listing_open(&tasks, "/proc/self/task");
    while (tasks.descriptor >= 0 && !(rest = each_rests(&tasks, 0)) && pauses_before(deadline))
        ramet_listing_rewind(&tasks);
    ramet_listing_close(&tasks);
    return rest;
}

void ramet_await_threads_at_rest(void)
{
    ramet_all_threads_at_rest(LONGEST_WAIT);
}
