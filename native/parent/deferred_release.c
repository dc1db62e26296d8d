/* Leases are few and looked at seldom. */
#define _GNU_SOURCE
#include "deferred_release.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "child.h"
#include "lock_free_stack.h"
#include "task_state.h"

struct lease {
    struct ramet_link link; /* first: the pile knows no more of it */
    long tid;
    bool thread;
    struct ramet_stack *stack;
    struct ramet_word *words[2];
};

static struct ramet_link *leases;

/* A tid that is in use again counts as the task still: memory is then kept longer, never too short. */
static bool is_gone(const struct lease *lease)
{
    long error = lease->thread ? ramet_syscall3(__NR_tgkill, getpid(), lease->tid, 0)
                               : ramet_syscall2(__NR_kill, lease->tid, 0);
    if (error == -ESRCH)
        return true;
    char state = ramet_task_state(lease->tid);
    return state == 'Z' || state == 'X';
}

static void end(struct lease *lease)
{
    if (lease->stack != NULL)
        ramet_stack_leave(lease->stack);
    for (int i = 0; i < 2; i++)
        if (lease->words[i] != NULL)
            ramet_word_release(lease->words[i]);
    free(lease);
}

bool ramet_defer_release(long tid, bool thread, struct ramet_stack *stack, struct ramet_word *const words[2])
{
    struct lease *lease = calloc(1, sizeof *lease);
    if (lease == NULL)
        return false;
    *lease = (struct lease){.tid = tid, .thread = thread};
    lease->stack = stack;
    if (stack != NULL)
        ramet_stack_occupy(stack);
    for (int i = 0; i < 2; i++)
        if (words[i] != NULL)
            lease->words[i] = ramet_word_hold(words[i]);
    ramet_push(&leases, &lease->link);
    return true;
}

void ramet_release_deferred(void)
{
    struct ramet_link *next;
    for (struct ramet_link *link = ramet_take_all(&leases); link != NULL; link = next) {
        next = link->next;
        if (is_gone((struct lease *)link))
            end((struct lease *)link);
        else
            ramet_push(&leases, link);
    }
}
