/* Setting a futex word wakes all who wait on it: threads, and children that share the word alone. */
#include <pthread.h>

#include "check.h"
#include "futex_word.h"
#include "task_state.h"

enum { WAITERS = 3 };

static int *words; /* the first is waited for; the others are the tids of the waiters */

static void *await(void *number)
{
    words[(long)number] = (int)ramet_syscall0(__NR_gettid);
    ramet_futex_await_change(&words[0], 0);
    return NULL;
}

static void await_sleeper(long number)
{
    while (__atomic_load_n(&words[number], __ATOMIC_ACQUIRE) == 0 || ramet_task_state(words[number]) != 'S')
        sched_yield();
}

int main(void)
{
    pthread_t threads[WAITERS];
    words = shared_memory((WAITERS + 2) * sizeof *words);
    pid_t pid = fork();
    if (pid == 0) {
        await((void *)(WAITERS + 1L));
        _exit(words[0]);
    }
    for (long i = 0; i < WAITERS; i++)
        CHECK(pthread_create(&threads[i], NULL, await, (void *)(i + 1)) == 0);
    for (long i = 1; i <= WAITERS + 1; i++)
        await_sleeper(i);
    ramet_futex_set(&words[0], FOUND);
    for (int i = 0; i < WAITERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(code_of(pid) == FOUND);
    return passed();
}
