/* One task at a time has the lock, and one that was killed with it does not keep it. */
#include <pthread.h>
#include <stdatomic.h>

#include "brief_lock.h"
#include "check.h"

enum { THREADS = 4, TIMES = 2000 };

static struct ramet_brief_lock lock;
static atomic_int inside, met;

static void *take_many_times(void *unused)
{
    for (int i = 0; i < TIMES; i++) {
        ramet_brief_lock_take(&lock);
        met += inside++ != 0;
        inside--;
        ramet_brief_lock_give(&lock);
    }
    return unused;
}

static int end_with_it(void *fn, void *arg, void *context)
{
    (void)fn, (void)arg;
    ramet_brief_lock_take(context);
    return FOUND;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, take_many_times, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(met == 0 && lock.holder == 0);
    CHECK(code_of(start_sharer(end_with_it, &lock, 0)) == FOUND);
    CHECK(lock.holder != 0);
    ramet_brief_lock_take(&lock);
    CHECK(lock.holder == gettid());
    lock.holder = 1; /* another has taken it over, and has it still */
    ramet_brief_lock_give(&lock);
    CHECK(lock.holder == 1);
    ramet_brief_lock_take(&lock); /* who lives is waited for, not for ever */
    ramet_brief_lock_give(&lock);
    CHECK(lock.holder == 0);
    return passed();
}
