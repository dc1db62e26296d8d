/* What is lent, in a list that is short and looked at seldom. */
#define _GNU_SOURCE
#include "deferred_release.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "child.h"
#include "lock_free_stack.h"
#include "task_state.h"

struct deferred {
    struct ramet_link link; /* first: the list knows no more of it */
    long tid;
    bool thread;
    struct ramet_stack *stack;
    struct ramet_word *words[2];
};

static struct ramet_link *all_deferred;

/* A tid that another task has by now counts as the task: then the memory is kept for too long, never too short. */
static bool is_gone(const struct deferred *deferred)
{
    long error = deferred->thread ? ramet_syscall3(__NR_tgkill, getpid(), deferred->tid, 0)
                                  : ramet_syscall2(__NR_kill, deferred->tid, 0);
    return error == -ESRCH || ramet_task_has_ended(deferred->tid);
}

static void end(struct deferred *deferred)
{
    ramet_lent_memory_leave(deferred->stack, deferred->words);
    free(deferred);
}

bool ramet_defer_release(long tid, bool thread, struct ramet_stack *stack, struct ramet_word *const words[2])
{
    struct deferred *deferred = calloc(1, sizeof *deferred);
    if (deferred == NULL)
        return false;
    *deferred = (struct deferred){.tid = tid, .thread = thread};
    deferred->stack = stack;
    if (stack != NULL)
        ramet_stack_occupy(stack);
    for (int i = 0; i < 2; i++)
        if (words[i] != NULL)
            deferred->words[i] = ramet_word_hold(words[i]);
    ramet_push(&all_deferred, &deferred->link);
    return true;
}

void ramet_release_deferred(void)
{
    RAMET_EACH_TAKEN(link, &all_deferred)
        if (is_gone((struct deferred *)link))
            end((struct deferred *)link);
        else
            ramet_push(&all_deferred, link);
}
