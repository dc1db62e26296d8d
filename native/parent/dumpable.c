/* The dumpable mark of this memory, saved over the launches that change it. */
#include "dumpable.h"

#include <linux/prctl.h>
#include <stdbool.h>
#include <stddef.h>

#include "brief_lock.h"
#include "child.h"
#include "epoch.h"
#include "futex.h"

#define DUMPABLE 1 /* SUID_DUMP_USER: the only mark that the kernel lets a task set again */
#define LAUNCHES 120
#define PATIENCE (RAMET_SECOND / 20) /* with a child that nobody restores the mark for: most are about to exec */
#define PAUSE (RAMET_MILLISECOND / 2)

/* Who launches may be a child in this memory, and be killed before it restores the mark: so each launch is told apart. */
struct launch {
    uint64_t number; /* 0: the place is free */
    pid_t maker;
    bool is_abandoned;
    const int *made, *left;
};

/* Memory of the kernel's own for a forked child, which has none of these launches: there it is zeros, the lock as well. */
struct block {
    struct launch launches[LAUNCHES];
    struct block *next; /* blocks are added, and stay */
};

/* NULL: the mark stays as the kernel sets it, which is the safe side. */
static struct {
    struct ramet_brief_lock lock;
    bool is_saved;
    long before;
    struct block block;
} *saved;

static uint64_t last; /* a fork copies it, and so the next number is new on either side */

static void __attribute__((constructor)) map_launches(void)
{
    saved = ramet_wiped_on_fork(sizeof *saved);
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

static bool is_over(const struct launch *launch)
{
    if (!launch->is_abandoned)
        return false;
    return launch->made == NULL || __atomic_load_n(launch->made, __ATOMIC_ACQUIRE) == 0 ||
           __atomic_load_n(launch->left, __ATOMIC_ACQUIRE) == 0;
}

#define FOR_EACH_LAUNCH(launch) \
    for (struct block *block = &saved->block; block != NULL; block = block->next) \
        for (struct launch *launch = block->launches; launch < block->launches + LAUNCHES; launch++)

/* With the lock. */
static void settle(void)
{
    bool is_last = true;
    FOR_EACH_LAUNCH(launch) {
        if (is_over(launch))
            launch->number = 0;
        is_last = is_last && launch->number == 0;
    }
    if (!is_last || !saved->is_saved)
        return;
    set_mark(saved->before);
    saved->is_saved = false;
}

/* With the lock. NULL: there is no memory. */
static struct launch *free_place(void)
{
    struct block *end = NULL;
    FOR_EACH_LAUNCH(launch) {
        end = block;
        if (launch->number == 0)
            return launch;
    }
    end->next = ramet_wiped_on_fork(sizeof *end);
    return end->next == NULL ? NULL : end->next->launches;
}

uint64_t ramet_dumpable_save(const int *made, const int *left)
{
    if (saved == NULL)
        return 0;
    ramet_brief_lock_take(&saved->lock);
    settle();
    struct launch *launch = free_place();
    uint64_t number = 0;
    if (launch != NULL) {
        if (!saved->is_saved)
            saved->before = ramet_syscall1(__NR_prctl, PR_GET_DUMPABLE);
        saved->is_saved = true;
        number = ++last;
        *launch = (struct launch){.maker = (pid_t)ramet_syscall0(__NR_getpid), .made = made, .left = left};
        __atomic_store_n(&launch->number, number, __ATOMIC_RELEASE); /* last: this task may be killed before it */
    }
    ramet_brief_lock_give(&saved->lock);
    return number;
}

void ramet_dumpable_restore(uint64_t number)
{
    if (number == 0)
        return;
    ramet_brief_lock_take(&saved->lock);
    FOR_EACH_LAUNCH(launch)
        if (launch->number == number)
            launch->number = 0;
    settle();
    ramet_brief_lock_give(&saved->lock);
}

/* Whether there are launches that nobody restores, of children that use this memory still. */
static bool are_abandoned(void)
{
    bool any = false;
    ramet_brief_lock_take(&saved->lock);
    settle();
    FOR_EACH_LAUNCH(launch)
        any = any || (launch->number != 0 && launch->is_abandoned);
    ramet_brief_lock_give(&saved->lock);
    return any;
}

void ramet_dumpable_settle(void)
{
    if (saved != NULL && __atomic_load_n(&saved->is_saved, __ATOMIC_RELAXED))
        are_abandoned();
}

void ramet_dumpable_abandon(pid_t process)
{
    if (saved == NULL)
        return;
    ramet_brief_lock_take(&saved->lock);
    FOR_EACH_LAUNCH(launch)
        launch->is_abandoned = launch->is_abandoned || (launch->number != 0 && launch->maker == process);
    ramet_brief_lock_give(&saved->lock);
    for (int64_t until = ramet_now() + PATIENCE; are_abandoned() && ramet_now() < until;)
        ramet_pause(PAUSE);
}
