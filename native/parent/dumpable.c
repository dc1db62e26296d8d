/* The dumpable mark of this memory, saved over the launches that change it. */
#include "dumpable.h"

#include <linux/prctl.h>
#include <pthread.h>

#include "child.h"
#include "epoch.h"

#define DUMPABLE 1 /* SUID_DUMP_USER: the only mark that the kernel lets a task set again */

/*
 * All zeros in the memory of a forked child, which has none of these launches, and may have been made while the lock
 * was held. To libc zeros are a mutex that is free. NULL: the mark stays as the kernel sets it, which is the safe side.
 */
static struct {
    pthread_mutex_t lock;
    int count;
    long before;
} *launches;

static void __attribute__((constructor)) map_launches(void)
{
    launches = ramet_wiped_on_fork(sizeof *launches);
}

bool ramet_dumpable_save(void)
{
    if (launches == NULL)
        return false;
    pthread_mutex_lock(&launches->lock);
    if (launches->count++ == 0)
        launches->before = ramet_syscall1(__NR_prctl, PR_GET_DUMPABLE);
    pthread_mutex_unlock(&launches->lock);
    return true;
}

/*
 * A child may have made memory dumpable that was not. Of the two marks that it can have had only 0 can be set; they
 * differ in whether root may have a core of it.
 */
static void set_mark(long before)
{
    if (before == DUMPABLE || ramet_syscall1(__NR_prctl, PR_GET_DUMPABLE) == DUMPABLE)
        ramet_syscall2(__NR_prctl, PR_SET_DUMPABLE, before == DUMPABLE);
}

void ramet_dumpable_restore(void)
{
    pthread_mutex_lock(&launches->lock);
    if (launches->count > 0 && --launches->count == 0)
        set_mark(launches->before);
    pthread_mutex_unlock(&launches->lock);
}
