/* Fork handlers run when all threads are at rest, are not called while one computes, and are not waited for without end. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "fork_handlers.h"

#define MILLISECOND INT64_C(1000000)

static atomic_int before, after, blocks;
static atomic_bool done;

static void prepare(void)
{
    before++;
    while (blocks)
        ramet_syscall5(__NR_ppoll, NULL, 0, NULL, NULL, 0);
}

static void in_parent(void)
{
    after++;
}

static void *compute(void *unused)
{
    while (!done)
        ;
    return unused;
}

int main(void)
{
    pthread_t thread;
    pthread_atfork(prepare, in_parent, NULL);
    CHECK(ramet_run_fork_handlers_within(5000 * MILLISECOND));
    CHECK(before == 1 && after == 1);
    CHECK(pthread_create(&thread, NULL, compute, NULL) == 0);
    CHECK(!ramet_run_fork_handlers_within(100 * MILLISECOND));
    CHECK(before == 1);
    done = true;
    pthread_join(thread, NULL);
    blocks = 1;
    CHECK(!ramet_run_fork_handlers_within(200 * MILLISECOND));
    CHECK(after == 1);
    return passed();
}
