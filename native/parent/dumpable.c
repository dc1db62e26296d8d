/* The mark of this memory, kept over the launches that change it. */
#define _GNU_SOURCE
#include "dumpable.h"

#include <linux/prctl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "child.h"

#define DUMPABLE 1 /* SUID_DUMP_USER: the only mark that the kernel lets a task set back */

/*
 * In a page that is all zeros in the memory of a forked child, who has none of these launches, and may
 * have been made while the lock was held. To libc zeros are a mutex that nobody holds.
 */
struct launches {
    pthread_mutex_t lock;
    int count;
    long before;
};

static struct launches *map_launches(void)
{
    void *page = mmap(NULL, sizeof(struct launches), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    madvise(page, sizeof(struct launches), MADV_WIPEONFORK);
    return page;
}

/* NULL when there is no memory for it: then the mark stays as the kernel sets it, which is the safe side. */
static struct launches *all_launches(void)
{
    static struct launches *known;
    struct launches *launches = __atomic_load_n(&known, __ATOMIC_ACQUIRE), *none = NULL;
    if (launches != NULL)
        return launches;
    launches = map_launches();
    if (launches == NULL || __atomic_compare_exchange_n(&known, &none, launches, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return launches;
    munmap(launches, sizeof *launches);
    return none;
}

bool ramet_dumpable_save(void)
{
    struct launches *launches = all_launches();
    if (launches == NULL)
        return false;
    pthread_mutex_lock(&launches->lock);
    if (launches->count++ == 0)
        launches->before = ramet_syscall1(__NR_prctl, PR_GET_DUMPABLE);
    pthread_mutex_unlock(&launches->lock);
    return true;
}

void ramet_dumpable_restore(void)
{
    struct launches *launches = all_launches();
    pthread_mutex_lock(&launches->lock);
    if (launches->count > 0 && --launches->count == 0 && launches->before == DUMPABLE)
        ramet_syscall2(__NR_prctl, PR_SET_DUMPABLE, DUMPABLE);
    pthread_mutex_unlock(&launches->lock);
}
