/*
 * A child in shared memory asks whether it leaves living children of its own (ramet_nested_hosts_any). The answer must be
 * right while other tasks look through the list of all such children: else its recovery forgets these children, and a
 * task that waits for one of them waits for ever. The ended ones are taken by the process that made them, one by one.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "epoch.h"
#include "host_thread.h"
#include "nested_hosts.h"

enum { OTHERS = 30, LOOKERS = 3, LEAST_LOOKS = 20000, MOST_HOLDERS = 1 << 30, OTHER_MAKER = 1, TID = 7 };

static int alive = 1, ended;
static atomic_int looks_of_others;
static atomic_bool done;

/* One of that maker's, whose child and thread have ended or not; the list's holds are never the last ones. */
static void add(struct ramet_host *host, pid_t maker, int *word)
{
    *host = (struct ramet_host){
        .stage = RAMET_LENT, .holders = MOST_HOLDERS, .epoch = ramet_epoch(), .tid = TID, .maker = maker};
    host->own_cleartid_word = host->word = word;
    ramet_nested_hosts_add(host);
}

/* As a task does that starts a child which this list need not have: it looks through all, and drops those that are over. */
static void *look_through(void *unused)
{
    struct ramet_host none = {0};
    for (; !done; looks_of_others++)
        ramet_nested_hosts_add(&none);
    return unused;
}

static void a_living_one_is_always_seen(struct ramet_host *own)
{
    static struct ramet_host others[OTHERS];
    pthread_t threads[LOOKERS];
    int missed = 0;
    for (int i = 0; i < OTHERS; i++)
        add(&others[i], OTHER_MAKER, &alive);
    add(own, getpid(), &alive);
    for (int i = 0; i < LOOKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, look_through, NULL) == 0);
    for (int looks = 0; looks < LEAST_LOOKS || looks_of_others < LEAST_LOOKS; looks++)
        missed += !ramet_nested_hosts_any();
    done = true;
    for (int i = 0; i < LOOKERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(missed == 0);
    own->stage = RAMET_ENDED;
    CHECK(!ramet_nested_hosts_any());
    for (int i = 0; i < OTHERS; i++)
        others[i].stage = RAMET_ENDED;
}

static int hastened;

static void count(const struct ramet_host *host)
{
    hastened += host != NULL;
}

int main(void)
{
    static struct ramet_host own, other;
    if (ramet_epoch() == 0)
        SKIP("the kernel has no MADV_WIPEONFORK");
    CHECK(!ramet_nested_hosts_any());
    a_living_one_is_always_seen(&own);
    CHECK(ramet_nested_hosts_take(getpid(), count) == NULL && hastened == 0 && !ramet_is_nested_host(TID));
    add(&other, OTHER_MAKER, &ended);
    add(&own, getpid(), &ended);
    CHECK(ramet_is_nested_host(TID) && !ramet_is_nested_host(TID + 1));
    CHECK(ramet_nested_hosts_take(getpid(), count) == &own && ramet_nested_hosts_take(getpid(), count) == NULL);
    CHECK(ramet_nested_hosts_take(OTHER_MAKER, count) == &other && hastened == 2);
    return passed();
}
