/* The carriers that child processes have started; each entry is a hold. */
#define _GNU_SOURCE
#include "nested_hosts.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "host_thread.h"
#include "futex.h"
#include "libc_thread.h"
#include "lock_free_stack.h"
#include "host_pool.h"
#include "task_state.h"

#define PATIENCE_NANOSECONDS INT64_C(10000000000)
#define PATIENCE_OF_USERS_NANOSECONDS INT64_C(200000000)
#define PAUSE_NANOSECONDS 500000

/*
 * Entries are never taken off the pile, and used again when they are empty: so whoever goes through it sees
 * all of them, whatever others do. What is in one is looked at by one task at a time, as it may be let go.
 */
struct entry {
    struct ramet_link link;
    int user; /* the tid of who looks at it; 0: nobody */
    struct ramet_carrier *carrier; /* NULL: empty */
};

static struct ramet_link *entries;

static bool has_ended(int tid)
{
    char state = ramet_task_state(tid);
    return state == 'Z' || state == 'X' || (state == '\0' && ramet_syscall2(__NR_tkill, tid, 0) == -ESRCH);
}

static struct ramet_carrier *used(struct entry *entry)
{
    return __atomic_load_n(&entry->carrier, __ATOMIC_ACQUIRE);
}

static void set(struct entry *entry, struct ramet_carrier *carrier)
{
    __atomic_store_n(&entry->carrier, carrier, __ATOMIC_RELEASE);
}

/*
 * Each looks for less than a microsecond, or until it gets a processor again. Who was killed meanwhile has
 * changed nothing by halves; its tid may be one of another pid namespace, or of a process that has forked.
 */
static void begin_use(struct entry *entry)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    const int me = (int)ramet_syscall0(__NR_gettid);
    int64_t deadline = 0;
    int user = 0;
    while (!__atomic_compare_exchange_n(&entry->user, &user, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        if (deadline == 0)
            deadline = ramet_now() + PATIENCE_OF_USERS_NANOSECONDS;
        if (ramet_now() >= deadline || has_ended(user))
            continue; /* in its stead, unless somebody else was quicker */
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
        user = 0;
    }
}

static void end_use(struct entry *entry)
{
    __atomic_store_n(&entry->user, 0, __ATOMIC_RELEASE);
}

void ramet_nested_note(struct ramet_carrier *carrier)
{
    if (ramet_epoch() == 0 || ramet_pool_is_ours())
        return;
    carrier->own_end = ramet_end_word();
    carrier->maker = getpid();
}

static bool is_over(const struct ramet_carrier *carrier)
{
    return __atomic_load_n(&carrier->stage, __ATOMIC_ACQUIRE) == RAMET_ENDED || carrier->epoch != ramet_epoch();
}

/* What is over is let go; one of that maker's is returned, and taken out if that is asked. maker: 0 for nobody's. */
static struct ramet_carrier *look_at(struct entry *entry, pid_t maker, bool take)
{
    begin_use(entry);
    struct ramet_carrier *carrier = used(entry), *over = NULL, *found = NULL;
    if (carrier != NULL && is_over(carrier))
        over = carrier;
    else if (carrier != NULL && carrier->maker == maker)
        found = carrier;
    if (over != NULL || (found != NULL && take))
        set(entry, NULL);
    end_use(entry);
    if (over != NULL)
        ramet_carrier_release(over);
    return found;
}

static struct ramet_carrier *find(pid_t maker, bool take)
{
    struct ramet_carrier *found = NULL;
    struct ramet_link *link = __atomic_load_n(&entries, __ATOMIC_ACQUIRE);
    for (; link != NULL && found == NULL; link = link->next)
        if (used((struct entry *)link) != NULL)
            found = look_at((struct entry *)link, maker, take);
    return found;
}

static bool put_into(struct entry *entry, struct ramet_carrier *carrier)
{
    begin_use(entry);
    bool empty = used(entry) == NULL;
    if (empty)
        set(entry, carrier);
    end_use(entry);
    return empty;
}

/* Takes over the hold. False when there is no memory for another entry. */
static bool keep(struct ramet_carrier *carrier)
{
    struct ramet_link *link = __atomic_load_n(&entries, __ATOMIC_ACQUIRE);
    for (; link != NULL; link = link->next)
        if (used((struct entry *)link) == NULL && put_into((struct entry *)link, carrier))
            return true;
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return false;
    entry->carrier = carrier;
    ramet_push(&entries, &entry->link);
    return true;
}

void ramet_nested_enter(struct ramet_carrier *carrier)
{
    find(0, false); /* sweeps */
    if (carrier->own_end != NULL && !keep(ramet_carrier_hold(carrier)))
        ramet_carrier_release(carrier);
}

bool ramet_nested_any(void)
{
    return __atomic_load_n(&entries, __ATOMIC_ACQUIRE) != NULL && find(getpid(), false) != NULL;
}

bool ramet_nested_lends(int tid)
{
    bool lends = false;
    struct ramet_link *link = __atomic_load_n(&entries, __ATOMIC_ACQUIRE);
    for (; link != NULL && !lends; link = link->next) {
        struct entry *entry = (struct entry *)link;
        begin_use(entry);
        struct ramet_carrier *carrier = used(entry);
        lends = carrier != NULL && !is_over(carrier) && carrier->tid == tid;
        end_use(entry);
    }
    return lends;
}

/* The kernel clears both words, the one when the thread is gone and the other when the child is. */
static bool ends_soon(const struct ramet_carrier *carrier)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    const int64_t deadline = ramet_now() + PATIENCE_NANOSECONDS;
    while (ramet_now() < deadline) {
        if (__atomic_load_n(carrier->own_end, __ATOMIC_ACQUIRE) == 0 &&
            __atomic_load_n(carrier->word, __ATOMIC_ACQUIRE) == 0)
            return true;
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
    }
    return false;
}

struct ramet_carrier *ramet_nested_take(pid_t maker)
{
    struct ramet_carrier *carrier = find(maker, true);
    if (carrier == NULL || ends_soon(carrier))
        return carrier;
    keep(carrier); /* it may have exec'ed, and its children live on */
    return NULL;
}
