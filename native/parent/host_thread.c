/* A thread that lends a child its stack and its thread-local block. */
#define _GNU_SOURCE
#include "host_thread.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "detached_thread.h"
#include "epoch.h"
#include "futex.h"
#include "lent_memory.h"
#include "libc_thread.h"
#include "safe_kill.h"
#include "watched_children.h"

/* On which the host thread sleeps: with room for the signal frame of libc's setuid(), which interrupts all threads. */
#define SIDE_STACK_BYTES 32768

#define LENT (-1)
#define IDLE (3 * RAMET_SECOND)  /* after which it ends */
#define GRACE (RAMET_SECOND / 5) /* after the deadline, for `expire` */
#define LONGEST_GRACE (5 * RAMET_SECOND)
#define RETRY (RAMET_SECOND / 20)

bool ramet_host_claim(struct ramet_host *host)
{
    int free = 0, claim = __atomic_add_fetch(&host->claims, 1, __ATOMIC_RELAXED);
    if (claim == 0)
        claim = __atomic_add_fetch(&host->claims, 1, __ATOMIC_RELAXED);
    if (!__atomic_compare_exchange_n(&host->over, &free, claim, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    if (__atomic_load_n(&host->stage, __ATOMIC_ACQUIRE) != RAMET_ENDED)
        return true;
    ramet_futex_set(&host->over, 0);
    return false;
}

/* Only `expire` may change lists of waiters, since it has the lock for them. */
static void remove_no_waiter(const struct ramet_syscall_state *state)
{
    (void)state;
}

static const struct ramet_sharers nothing_known = {remove_no_waiter, NULL};

/*
 * Kills the child while `expire` still waits. When it waits for a lock that the child holds, the child may have to be killed
 * anywhere; when it waits for another thread, or for a processor, at a safe point only. Whether it is killed.
 */
static bool kill_late(struct ramet_host *host, int64_t late)
{
    host->kills = host->kills || !__atomic_exchange_n(&host->expired, 1, __ATOMIC_ACQ_REL);
    if (!host->kills)
        return true;
    if (late < LONGEST_GRACE && !host->callbacks->blocks_expire(host->context)) {
        long error = ramet_kill_sharer_if_safe(host->child, -1, &nothing_known, RAMET_KILL_TRIES);
        return error != -EAGAIN && error != -ENODATA;
    }
    ramet_kill_sharer(host->child, -1, &nothing_known, NULL);
    return true;
}

/* When it wakes up at the latest: to keep a deadline, or to end when it is idle. Negative: never. */
static int64_t wake_time(const struct ramet_host *host)
{
    int64_t deadline = __atomic_load_n(&host->deadline, __ATOMIC_ACQUIRE), now = ramet_now();
    if (deadline == 0 && !host->reusable)
        return -1;
    if (deadline == 0 || deadline + GRACE >= now + IDLE)
        return now + IDLE;
    return deadline + GRACE > now ? deadline + GRACE : now + RETRY;
}

/* On the side stack. While a child may use the block, nothing here may use errno or another thread-local. */
static void lend(void *context, void *left)
{
    struct ramet_host *host = context;
    host->stack_top = (uintptr_t)left & ~(uintptr_t)15;
    if (host->stage == RAMET_STARTING)
        ramet_futex_set(&host->stage, RAMET_LENT);
    else
        ramet_futex_set(&host->over, 0);
    for (int word; (word = __atomic_load_n(host->word, __ATOMIC_ACQUIRE)) != 0;) {
        if (ramet_futex_wait_until(host->word, word, wake_time(host)) != -ETIMEDOUT)
            continue;
        if (ramet_host_claim(host)) {
            host->dismissed = true;
            return;
        }
        int64_t deadline = __atomic_load_n(&host->deadline, __ATOMIC_ACQUIRE), late = ramet_now() - deadline;
        if (deadline != 0 && late >= GRACE && kill_late(host, late))
            host->deadline = 0;
    }
    if (!host->dismissed)
        host->callbacks->inspect(host->context);
}

/* The kernel clears one word for each task, and the host thread needs that one: it clears the caller's itself. */
static void clear_tid_word(struct ramet_host *host)
{
    if (host->made && host->cleartid_word != NULL)
        ramet_futex_set(host->cleartid_word, 0);
}

static void release_lent(struct ramet_host *host)
{
    ramet_lent_memory_leave(host->stack, host->words);
    ramet_watched_leave(host->watched);
    host->watched = NULL;
    host->stack = NULL;
    host->words[0] = host->words[1] = NULL;
}

/* Lends once, and recovers what the child left. Whether it may lend again. */
static bool serve(struct ramet_host *host, char *side_stack_top)
{
    __atomic_store_n(host->word, LENT, __ATOMIC_RELAXED);
    struct ramet_cleanups cleanups;
    ramet_cleanups_keep(&cleanups);
    ramet_on_stack(side_stack_top, lend, host);
    ramet_cleanups_put_back(&cleanups);
    clear_tid_word(host);
    release_lent(host); /* first: a thread that waits for the stack may hold a lock that the rest needs */
    if (host->dismissed) {
        host->callbacks->discard(host->context);
        return false;
    }
    return host->callbacks->recover(host->context) && host->reusable;
}

/* Of one that will end before the memory does: how that can be seen. */
static void note_maker(struct ramet_host *host)
{
    if (host->epoch == 0 || ramet_owns_memory())
        return;
    host->own_cleartid_word = ramet_cleartid_word();
    host->maker = getpid();
}

void ramet_host_serve(struct ramet_host *host)
{
    char side_stack[SIDE_STACK_BYTES];
    host->tid = (int)ramet_syscall0(__NR_gettid);
    note_maker(host);
    host->callbacks->prepare(host->context);
    host->thread_pointer = ramet_thread_pointer();
    host->robust_list = ramet_robust_list(&host->robust_length);
    long rseq_length = ramet_rseq_unregister();
    while (serve(host, side_stack + sizeof side_stack))
        ;
    ramet_rseq_register(rseq_length);
    ramet_futex_set(&host->stage, RAMET_ENDED);
    ramet_futex_set(&host->over, 0);
    ramet_watched_drain(); /* while there is still a thread that can wait for it */
    while (host->must_not_end)
        ramet_futex_wait(&host->stage, RAMET_ENDED, NULL);
    ramet_host_release(host);
}

static void *run_host_thread(void *host)
{
    ((struct ramet_host *)host)->callbacks->run(host);
    return NULL;
}

struct ramet_host *ramet_host_start(size_t stack_size, struct ramet_stack *stack, bool reusable,
                                    const struct ramet_host_callbacks *callbacks, void *context, int *error)
{
    struct ramet_host *host = calloc(1, sizeof *host);
    if (host == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    host->holders = 2;
    host->over = host->claims = 1;
    host->epoch = ramet_epoch();
    host->reusable = reusable && host->epoch != 0;
    host->word = stack == NULL ? &host->lent : &stack->word;
    host->stack = stack;
    if (stack != NULL)
        ramet_stack_occupy(stack);
    host->callbacks = callbacks;
    host->context = context;
    *error = ramet_start_detached_thread(run_host_thread, host, stack_size == 0 ? 0 : stack_size + SIDE_STACK_BYTES);
    if (*error != 0) {
        release_lent(host);
        free(host);
        return NULL;
    }
    ramet_futex_await_change(&host->stage, RAMET_STARTING);
    return host;
}

void ramet_host_dismiss(struct ramet_host *host)
{
    host->dismissed = true;
    ramet_futex_set(host->word, 0);
}

void ramet_host_leave(struct ramet_host *host)
{
    ramet_watched_leave(host->watched);
    host->watched = NULL;
    host->deadline = 0;
    ramet_syscall1(__NR_set_tid_address, &host->over);
}

bool ramet_host_holds_mutex(const struct ramet_host *host)
{
    void *head = host->robust_list;
    return head != NULL && *(void **)head != head; /* the first link of an empty list points to itself */
}

bool ramet_host_is_over(const struct ramet_host *host, int claim)
{
    return __atomic_load_n(&host->over, __ATOMIC_ACQUIRE) != claim;
}

void ramet_host_mark_over(struct ramet_host *host)
{
    release_lent(host);
    ramet_futex_set(&host->stage, RAMET_ENDED);
    ramet_futex_set(&host->over, 0);
    ramet_host_release(host); /* the hold of its thread */
    ramet_host_release(host);
}

void ramet_host_wait_end(struct ramet_host *host)
{
    ramet_futex_await_change(&host->stage, RAMET_STARTING);
    ramet_futex_await_change(&host->stage, RAMET_LENT);
}

struct ramet_host *ramet_host_hold(struct ramet_host *host)
{
    __atomic_add_fetch(&host->holders, 1, __ATOMIC_RELAXED);
    return host;
}

void ramet_host_release(struct ramet_host *host)
{
    if (__atomic_sub_fetch(&host->holders, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    free(host->context);
    free(host);
}
