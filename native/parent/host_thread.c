/* The thread that lends a child its stack and its thread-local block. */
#define _GNU_SOURCE
#include "host_thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "epoch.h"
#include "futex.h"
#include "lent_memory.h"
#include "libc_thread.h"
#include "safe_kill.h"
#include "watched_children.h"

/* Room for the signal frame of libc's setuid broadcast, which interrupts the host thread here. */
#define BENCH_BYTES 32768

#define LENT (-1)
#define SECOND INT64_C(1000000000)
#define IDLE (3 * SECOND)
#define PATIENCE (SECOND / 5)
#define LONGEST_PATIENCE (5 * SECOND)
#define LOOK_AGAIN (SECOND / 20)

static void set_and_wake(int *word, int value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    ramet_futex_wake(word);
}

bool ramet_host_claim(struct ramet_host *host)
{
    int free = 0, claim = __atomic_add_fetch(&host->claims, 1, __ATOMIC_RELAXED);
    if (claim == 0)
        claim = __atomic_add_fetch(&host->claims, 1, __ATOMIC_RELAXED);
    if (!__atomic_compare_exchange_n(&host->over, &free, claim, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    if (__atomic_load_n(&host->stage, __ATOMIC_ACQUIRE) != RAMET_ENDED)
        return true;
    set_and_wake(&host->over, 0);
    return false;
}

/* Who never gives up what others wait for is on no list. */
static void strike_off_nothing(const struct ramet_syscall_state *stand)
{
    (void)stand;
}

/*
 * The careful killer is still waiting. For what the child does not give up that would be in vain; what others have, or a
 * busy machine, is no reason to kill it in the midst of something. Whether it is done.
 */
static bool kill_in_its_stead(struct ramet_host *host, int64_t late)
{
    host->kills = host->kills || !__atomic_exchange_n(&host->expired, 1, __ATOMIC_ACQ_REL);
    if (!host->kills)
        return true;
    if (late < LONGEST_PATIENCE && !host->callbacks->blocks_expire(host->context))
        return ramet_kill_sharer_if_safe(host->child, -1, strike_off_nothing, RAMET_KILL_TRIES) != -EAGAIN;
    ramet_kill_sharer(host->child, -1, strike_off_nothing, NULL);
    return true;
}

/* Until when it sleeps, at most: to keep a deadline, or to see whether it is still needed. */
static const struct timespec *alarm_of(const struct ramet_host *host, struct timespec *alarm)
{
    int64_t deadline = __atomic_load_n(&host->deadline, __ATOMIC_ACQUIRE), now = ramet_now(), at = now + IDLE;
    if (deadline == 0 && !host->reusable)
        return NULL;
    if (deadline != 0 && deadline + PATIENCE < at)
        at = deadline + PATIENCE > now ? deadline + PATIENCE : now + LOOK_AGAIN;
    *alarm = (struct timespec){.tv_sec = at / SECOND, .tv_nsec = at % SECOND};
    return alarm;
}

/* On the bench. While a child may be on the block nothing may touch errno or any other thread-local. */
static void lend(void *context, void *left)
{
    struct ramet_host *host = context;
    struct timespec alarm;
    host->stack_top = (uintptr_t)left & ~(uintptr_t)15;
    if (host->stage == RAMET_STARTING)
        set_and_wake(&host->stage, RAMET_LENT);
    else
        set_and_wake(&host->over, 0);
    for (int word; (word = __atomic_load_n(host->word, __ATOMIC_ACQUIRE)) != 0;) {
        if (ramet_futex_wait_until(host->word, word, alarm_of(host, &alarm)) != -ETIMEDOUT)
            continue;
        if (ramet_host_claim(host)) {
            host->dismissed = true;
            return;
        }
        int64_t deadline = __atomic_load_n(&host->deadline, __ATOMIC_ACQUIRE), late = ramet_now() - deadline;
        if (deadline != 0 && late >= PATIENCE && kill_in_its_stead(host, late))
            host->deadline = 0;
    }
    if (!host->dismissed)
        host->callbacks->inspect(host->context);
}

/* The kernel has one word for each task, and the host thread needs it: it hands the clearing on. */
static void pass_clearing_on(struct ramet_host *host)
{
    if (host->made && host->cleartid_word != NULL)
        set_and_wake(host->cleartid_word, 0);
}

static void let_go(struct ramet_host *host)
{
    if (host->stack != NULL)
        ramet_stack_leave(host->stack);
    for (int i = 0; i < 2; i++)
        if (host->words[i] != NULL)
            ramet_word_release(host->words[i]);
    ramet_watched_leave(host->watched);
    host->watched = NULL;
    host->stack = NULL;
    host->words[0] = host->words[1] = NULL;
}

/* Lends once, and looks after what came of it. Whether it may lend again. */
static bool serve(struct ramet_host *host, char *bench_top)
{
    __atomic_store_n(host->word, LENT, __ATOMIC_RELAXED);
    ramet_on_stack(bench_top, lend, host);
    pass_clearing_on(host);
    let_go(host); /* first: who waits for the stack may hold what the rest needs */
    if (host->dismissed) {
        host->callbacks->retire(host->context);
        return false;
    }
    return host->callbacks->recover(host->context) && host->reusable;
}

/* Whether it will end before the memory does, and how that can be seen. */
static void note_maker(struct ramet_host *host)
{
    if (host->epoch == 0 || ramet_owns_memory())
        return;
    host->own_cleartid_word = ramet_cleartid_word();
    host->maker = getpid();
}

void ramet_host_serve(struct ramet_host *host)
{
    char bench[BENCH_BYTES];
    host->tid = (int)ramet_syscall0(__NR_gettid);
    note_maker(host);
    host->callbacks->prepare(host->context);
    host->thread_pointer = ramet_thread_pointer();
    host->robust_list = ramet_robust_list(&host->robust_length);
    long rseq_length = ramet_rseq_unregister();
    while (serve(host, bench + sizeof bench))
        ;
    ramet_rseq_register(rseq_length);
    set_and_wake(&host->stage, RAMET_ENDED);
    set_and_wake(&host->over, 0);
    ramet_watched_drain(); /* while there is a thread left that can wait for it */
    while (host->must_not_end)
        ramet_futex_wait(&host->stage, RAMET_ENDED, NULL);
    ramet_host_release(host);
}

static void *run_host_thread(void *host)
{
    ((struct ramet_host *)host)->callbacks->run(host);
    return NULL;
}

/* No signal comes to it. libc leaves out its own two, and must: setuid waits for their handlers. */
static int create(pthread_attr_t *attr, void *(*run)(void *), void *context)
{
    const ramet_sigset mask = ramet_block_signals();
    pthread_t thread;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    int error = pthread_create(&thread, attr, run, context);
    ramet_set_signal_mask(mask);
    return error;
}

static int start_thread(void *(*run)(void *), void *context, size_t stack_size)
{
    pthread_attr_t attr;
    int error = pthread_attr_init(&attr);
    if (error != 0)
        return error;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_size != 0)
        error = pthread_attr_setstacksize(&attr, stack_size + BENCH_BYTES);
    if (error == 0)
        error = create(&attr, run, context);
    pthread_attr_destroy(&attr);
    return error;
}

int ramet_start_detached_thread(void *(*run)(void *), void *context)
{
    return start_thread(run, context, 0);
}

struct ramet_host *ramet_host_start(size_t stack_size, struct ramet_stack *stack, bool again,
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
    host->reusable = again && host->epoch != 0;
    host->word = stack == NULL ? &host->lent : &stack->word;
    host->stack = stack;
    if (stack != NULL)
        ramet_stack_occupy(stack);
    host->callbacks = callbacks;
    host->context = context;
    *error = start_thread(run_host_thread, host, stack_size);
    if (*error != 0) {
        let_go(host);
        free(host);
        return NULL;
    }
    while (__atomic_load_n(&host->stage, __ATOMIC_ACQUIRE) == RAMET_STARTING)
        ramet_futex_wait(&host->stage, RAMET_STARTING, NULL);
    return host;
}

void ramet_host_dismiss(struct ramet_host *host)
{
    host->dismissed = true;
    set_and_wake(host->word, 0);
}

/* One child's deadline. */
struct limit {
    struct ramet_host *host;
    int claim;
    int64_t deadline;
};

static void *keep_limit(void *context)
{
    struct limit *limit = context;
    struct ramet_host *host = limit->host;
    const struct timespec alarm = {.tv_sec = limit->deadline / SECOND, .tv_nsec = limit->deadline % SECOND};
    while (!ramet_host_is_over(host, limit->claim) && ramet_now() < limit->deadline)
        ramet_futex_wait_until(&host->over, limit->claim, &alarm);
    ramet_futex_wake(&host->over); /* the kernel wakes one, and others may wait */
    if (!ramet_host_is_over(host, limit->claim))
        host->callbacks->expire(host->context);
    ramet_host_release(host);
    free(limit);
    return NULL;
}

int ramet_host_set_deadline(struct ramet_host *host, int claim, int child, int64_t timeout)
{
    int64_t deadline = ramet_now() + timeout;
    host->child = child;
    host->kills = false;
    __atomic_store_n(&host->deadline, deadline, __ATOMIC_RELEASE);
    ramet_futex_wake(host->word); /* to a shorter sleep */
    struct limit *limit = calloc(1, sizeof *limit);
    if (limit == NULL)
        return ENOMEM;
    *limit = (struct limit){ramet_host_hold(host), claim, deadline};
    int error = start_thread(keep_limit, limit, 0);
    if (error != 0) {
        ramet_host_release(host);
        free(limit);
    }
    return error;
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
    return head != NULL && *(void **)head != head; /* an empty ring is closed by its first link */
}

bool ramet_host_is_over(const struct ramet_host *host, int claim)
{
    return __atomic_load_n(&host->over, __ATOMIC_ACQUIRE) != claim;
}

void ramet_host_mark_over(struct ramet_host *host)
{
    let_go(host);
    set_and_wake(&host->stage, RAMET_ENDED);
    set_and_wake(&host->over, 0);
    ramet_host_release(host); /* its thread's */
    ramet_host_release(host);
}

void ramet_host_wait_end(struct ramet_host *host)
{
    for (int stage; (stage = __atomic_load_n(&host->stage, __ATOMIC_ACQUIRE)) != RAMET_ENDED;)
        ramet_futex_wait(&host->stage, stage, NULL);
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
