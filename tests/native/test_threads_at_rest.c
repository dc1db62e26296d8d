/* Threads that wait are at rest, and one that computes is not until it waits, too. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "futex_word.h"
#include "task_state.h"
#include "threads_at_rest.h"

#define MILLISECOND INT64_C(1000000)

static int word;
static atomic_bool computes;

static void *live(void *unused)
{
    while (computes)
        ;
    ramet_futex_await_change(&word, 0);
    return unused;
}

int main(void)
{
    pthread_t waiter, computer;
    CHECK(ramet_all_threads_at_rest(0) && ramet_each_thread_at_rest(0)); /* there is no other */
    CHECK(pthread_create(&waiter, NULL, live, NULL) == 0);
    if (!ramet_all_threads_at_rest(5000 * MILLISECOND))
        SKIP("/proc/TID/syscall cannot be read");
    CHECK(ramet_each_thread_at_rest(5000 * MILLISECOND));
    computes = true;
    CHECK(pthread_create(&computer, NULL, live, NULL) == 0);
    CHECK(!ramet_all_threads_at_rest(3 * MILLISECOND));
    CHECK(!ramet_each_thread_at_rest(3 * MILLISECOND));
    ramet_await_threads_at_rest(); /* gives up */
    computes = false;
    CHECK(ramet_all_threads_at_rest(5000 * MILLISECOND));
    ramet_futex_set(&word, 1);
    pthread_join(waiter, NULL);
    pthread_join(computer, NULL);
    return passed();
}
