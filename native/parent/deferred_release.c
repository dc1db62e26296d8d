/* What is lent, in a list that is short and looked at seldom. */
#define _GNU_SOURCE
#include "deferred_release.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "child.h"
#include "lock_free_stack.h"
#include "task_state.h"

struct loan {
    struct ramet_link link; /* first: the list knows no more of it */
    long tid;
    bool thread;
    struct ramet_stack *stack;
    struct ramet_word *words[2];
};

static struct ramet_link *loans;

/* A tid that another task has by now counts as the task: then the memory is kept for too long, never too short. */
static bool is_gone(const struct loan *loan)
{
    long error = loan->thread ? ramet_syscall3(__NR_tgkill, getpid(), loan->tid, 0)
                               : ramet_syscall2(__NR_kill, loan->tid, 0);
    return error == -ESRCH || ramet_task_has_ended(loan->tid);
}

static void end(struct loan *loan)
{
    ramet_lent_memory_leave(loan->stack, loan->words);
    free(loan);
}

bool ramet_defer_release(long tid, bool thread, struct ramet_stack *stack, struct ramet_word *const words[2])
{
    struct loan *loan = calloc(1, sizeof *loan);
    if (loan == NULL)
        return false;
    *loan = (struct loan){.tid = tid, .thread = thread};
    loan->stack = stack;
    if (stack != NULL)
        ramet_stack_occupy(stack);
    for (int i = 0; i < 2; i++)
        if (words[i] != NULL)
            loan->words[i] = ramet_word_hold(words[i]);
    ramet_push(&loans, &loan->link);
    return true;
}

void ramet_release_deferred(void)
{
    RAMET_EACH_TAKEN(link, &loans)
        if (is_gone((struct loan *)link))
            end((struct loan *)link);
        else
            ramet_push(&loans, link);
}
