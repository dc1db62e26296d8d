/*
 * A child in shared memory asks whether it leaves living children of its own (ramet_nested_hosts_any), and must be told so
 * whoever else looks through the list of all such children at that moment: else it is taken for tidy, and who waits
 * for these children waits for ever.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "epoch.h"
#include "host_thread.h"
#include "nested_hosts.h"

enum { OTHERS = 30, LOOKERS = 3, LEAST_LOOKS = 20000, MOST_HOLDERS = 1 << 30, OTHER_MAKER = 1 };

static const int alive = 1;
static atomic_int looks_of_others;
static atomic_bool done;

/* One whose child lives, of that maker's; the list's holds are never the last ones. */
static void enter(struct ramet_host *host, pid_t maker)
{
    *host = (struct ramet_host){
        .stage = RAMET_LENT, .holders = MOST_HOLDERS, .epoch = ramet_epoch(), .maker = maker, .own_cleartid_word = &alive};
    ramet_nested_hosts_add(host);
}

/* As a task does that starts a child of which this list need not know: it looks through all, and lets go what is over. */
static void *look_through(void *unused)
{
    struct ramet_host none = {0};
    for (; !done; looks_of_others++)
        ramet_nested_hosts_add(&none);
    return unused;
}

int main(void)
{
    static struct ramet_host others[OTHERS], own;
    pthread_t threads[LOOKERS];
    int looks = 0, missed = 0;
    for (int i = 0; i < OTHERS; i++)
        enter(&others[i], OTHER_MAKER);
    enter(&own, getpid());
    for (int i = 0; i < LOOKERS; i++)
        if (pthread_create(&threads[i], NULL, look_through, NULL) != 0)
            return 2;
    for (; looks < LEAST_LOOKS || looks_of_others < LEAST_LOOKS; looks++)
        missed += !ramet_nested_hosts_any();
    done = true;
    for (int i = 0; i < LOOKERS; i++)
        pthread_join(threads[i], NULL);
    if (missed != 0)
        fprintf(stderr, "in %d of %d looks the child that lives was not there\n", missed, looks);
    return missed != 0;
}
