/* A list of the host threads that children in shared memory have started; each entry is a hold. */
#define _GNU_SOURCE
#include "nested_hosts.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "brief_lock.h"
#include "epoch.h"
#include "futex.h"
#include "host_thread.h"
#include "libc_thread.h"
#include "lock_free_stack.h"

#define LONGEST_WAIT (10 * RAMET_SECOND)
#define PAUSE (RAMET_MILLISECOND / 2)

/*
 * Entries are never removed, and used again when they are empty: so a task that goes through the list sees all of
 * them, whatever other tasks do. One task at a time uses an entry, since its host thread may be released.
 */
struct entry {
    struct ramet_link link;
    struct ramet_brief_lock lock;
    struct ramet_host *host; /* NULL: empty */
};

static struct ramet_link *entries;

static struct ramet_host *used(struct entry *entry)
{
    return __atomic_load_n(&entry->host, __ATOMIC_ACQUIRE);
}

static void set(struct entry *entry, struct ramet_host *host)
{
    __atomic_store_n(&entry->host, host, __ATOMIC_RELEASE);
}

static bool is_over(const struct ramet_host *host)
{
    return __atomic_load_n(&host->stage, __ATOMIC_ACQUIRE) == RAMET_ENDED || host->epoch != ramet_epoch();
}

/* Drops a host thread that is over. Returns one of that maker's, and takes it out if `take`. maker: 0 for none. */
static struct ramet_host *look_at(struct entry *entry, pid_t maker, bool take)
{
    ramet_brief_lock_take(&entry->lock);
    struct ramet_host *host = used(entry), *over = NULL, *found = NULL;
    if (host != NULL && is_over(host))
        over = host;
    else if (host != NULL && host->maker == maker)
        found = host;
    if (over != NULL || (found != NULL && take))
        set(entry, NULL);
    ramet_brief_lock_give(&entry->lock);
    if (over != NULL)
        ramet_host_release(over);
    return found;
}

static struct ramet_host *find(pid_t maker, bool take)
{
    struct ramet_host *found = NULL;
    struct ramet_link *link = __atomic_load_n(&entries, __ATOMIC_ACQUIRE);
    for (; link != NULL && found == NULL; link = link->next)
        if (used((struct entry *)link) != NULL)
            found = look_at((struct entry *)link, maker, take);
    return found;
}

static bool put_into(struct entry *entry, struct ramet_host *host)
{
    ramet_brief_lock_take(&entry->lock);
    bool empty = used(entry) == NULL;
    if (empty)
        set(entry, host);
    ramet_brief_lock_give(&entry->lock);
    return empty;
}

/* Takes over the hold. False when there is no memory for another entry. */
static bool keep(struct ramet_host *host)
{
    struct ramet_link *link = __atomic_load_n(&entries, __ATOMIC_ACQUIRE);
    for (; link != NULL; link = link->next)
        if (used((struct entry *)link) == NULL && put_into((struct entry *)link, host))
            return true;
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return false;
    entry->host = host;
    ramet_push(&entries, &entry->link);
    return true;
}

void ramet_nested_hosts_add(struct ramet_host *host)
{
    find(0, false); /* drops those that are over */
    if (host->own_cleartid_word != NULL && !keep(ramet_host_hold(host)))
        ramet_host_release(host);
}

bool ramet_nested_hosts_any(void)
{
    return __atomic_load_n(&entries, __ATOMIC_ACQUIRE) != NULL && find(getpid(), false) != NULL;
}

bool ramet_is_nested_host(int tid)
{
    bool lends = false;
    struct ramet_link *link = __atomic_load_n(&entries, __ATOMIC_ACQUIRE);
    for (; link != NULL && !lends; link = link->next) {
        struct entry *entry = (struct entry *)link;
        ramet_brief_lock_take(&entry->lock);
        struct ramet_host *host = used(entry);
        lends = host != NULL && !is_over(host) && host->tid == tid;
        ramet_brief_lock_give(&entry->lock);
    }
    return lends;
}

/* The kernel clears both words, the one when the thread is gone and the other when the child is. */
static bool ends_soon(const struct ramet_host *host)
{
    const int64_t deadline = ramet_now() + LONGEST_WAIT;
    while (ramet_now() < deadline) {
        if (__atomic_load_n(host->own_cleartid_word, __ATOMIC_ACQUIRE) == 0 &&
            __atomic_load_n(host->word, __ATOMIC_ACQUIRE) == 0)
            return true;
        ramet_pause(PAUSE);
    }
    return false;
}

struct ramet_host *ramet_nested_hosts_take(pid_t maker, void (*hasten)(const struct ramet_host *host))
{
    struct ramet_host *host = find(maker, true);
    if (host != NULL)
        hasten(host);
    if (host == NULL || ends_soon(host))
        return host;
    keep(host); /* the maker may have exec'ed, and its children live on */
    return NULL;
}
