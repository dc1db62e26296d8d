/* The thread that lends a child its stack and its thread-local block. */
#define _GNU_SOURCE
#include "host_thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "futex.h"
#include "watched_children.h"
#include "safe_kill.h"
#include "libc_thread.h"
#include "lent_memory.h"
#include "nested_hosts.h"
#include "host_pool.h"

/* Room for the signal frame of libc's setuid broadcast, which interrupts the carrier here. */
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

bool ramet_carrier_claim(struct ramet_carrier *carrier)
{
    int free = 0, claim = __atomic_add_fetch(&carrier->claims, 1, __ATOMIC_RELAXED);
    if (claim == 0)
        claim = __atomic_add_fetch(&carrier->claims, 1, __ATOMIC_RELAXED);
    if (!__atomic_compare_exchange_n(&carrier->over, &free, claim, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    if (__atomic_load_n(&carrier->stage, __ATOMIC_ACQUIRE) != RAMET_ENDED)
        return true;
    set_and_wake(&carrier->over, 0);
    return false;
}

/* Who never gives up what others wait for is on no list. */
static void strike_off_nothing(const struct ramet_stand *stand)
{
    (void)stand;
}

/*
 * The careful killer is still waiting. For what the child does not give up that would be in vain; what others have, or a
 * busy machine, is no reason to kill it in the midst of something. Whether it is done.
 */
static bool kill_in_its_stead(struct ramet_carrier *carrier, int64_t late)
{
    carrier->kills = carrier->kills || !__atomic_exchange_n(&carrier->expired, 1, __ATOMIC_ACQ_REL);
    if (!carrier->kills)
        return true;
    if (late < LONGEST_PATIENCE && !carrier->duties->withholds(carrier->context))
        return ramet_kill_sharer_if_well(carrier->child, -1, strike_off_nothing, RAMET_KILL_TRIES) != -EAGAIN;
    ramet_kill_sharer(carrier->child, -1, strike_off_nothing, NULL);
    return true;
}

/* Until when it sleeps, at most: to keep a deadline, or to see whether it is still needed. */
static const struct timespec *alarm_of(const struct ramet_carrier *carrier, struct timespec *alarm)
{
    int64_t deadline = __atomic_load_n(&carrier->deadline, __ATOMIC_ACQUIRE), now = ramet_now(), at = now + IDLE;
    if (deadline == 0 && !carrier->again)
        return NULL;
    if (deadline != 0 && deadline + PATIENCE < at)
        at = deadline + PATIENCE > now ? deadline + PATIENCE : now + LOOK_AGAIN;
    *alarm = (struct timespec){.tv_sec = at / SECOND, .tv_nsec = at % SECOND};
    return alarm;
}

/* On the bench. While a child may be on the block nothing may touch errno or any other thread-local. */
static void lend(void *context, void *left)
{
    struct ramet_carrier *carrier = context;
    struct timespec alarm;
    carrier->stack_top = (uintptr_t)left & ~(uintptr_t)15;
    if (carrier->stage == RAMET_STARTING)
        set_and_wake(&carrier->stage, RAMET_LENT);
    else
        set_and_wake(&carrier->over, 0);
    for (int word; (word = __atomic_load_n(carrier->word, __ATOMIC_ACQUIRE)) != 0;) {
        if (ramet_futex_wait_until(carrier->word, word, alarm_of(carrier, &alarm)) != -ETIMEDOUT)
            continue;
        if (ramet_carrier_claim(carrier)) {
            carrier->dismissed = true;
            return;
        }
        int64_t deadline = __atomic_load_n(&carrier->deadline, __ATOMIC_ACQUIRE), late = ramet_now() - deadline;
        if (deadline != 0 && late >= PATIENCE && kill_in_its_stead(carrier, late))
            carrier->deadline = 0;
    }
    if (!carrier->dismissed)
        carrier->duties->look(carrier->context);
}

/* The kernel has one word for each task, and the carrier needs it: it hands the clearing on. */
static void pass_clearing_on(struct ramet_carrier *carrier)
{
    if (carrier->born && carrier->cleartid_word != NULL)
        set_and_wake(carrier->cleartid_word, 0);
}

static void let_go(struct ramet_carrier *carrier)
{
    if (carrier->stack != NULL)
        ramet_stack_leave(carrier->stack);
    for (int i = 0; i < 2; i++)
        if (carrier->words[i] != NULL)
            ramet_word_release(carrier->words[i]);
    ramet_guard_leave(carrier->ward);
    carrier->ward = NULL;
    carrier->stack = NULL;
    carrier->words[0] = carrier->words[1] = NULL;
}

/* Lends once, and looks after what came of it. Whether it may lend again. */
static bool serve(struct ramet_carrier *carrier, char *bench_top)
{
    __atomic_store_n(carrier->word, LENT, __ATOMIC_RELAXED);
    ramet_on_stack(bench_top, lend, carrier);
    ramet_arena_recover(&carrier->arena); /* before anything is allocated or freed */
    pass_clearing_on(carrier);
    let_go(carrier); /* first: who waits for the stack may hold what the rest needs */
    if (carrier->dismissed) {
        carrier->duties->retire(carrier->context);
        return false;
    }
    return carrier->duties->bury(carrier->context) && carrier->again;
}

static void *carry(void *context)
{
    struct ramet_carrier *carrier = context;
    char bench[BENCH_BYTES];
    carrier->tid = (int)ramet_syscall0(__NR_gettid);
    ramet_arena_note(&carrier->arena);
    ramet_nested_note(carrier);
    carrier->duties->prepare(carrier->context);
    ramet_arena_find(&carrier->arena);
    carrier->thread_pointer = ramet_thread_pointer();
    carrier->robust_list = ramet_robust_list(&carrier->robust_length);
    long rseq_length = ramet_rseq_leave();
    while (serve(carrier, bench + sizeof bench))
        ;
    ramet_rseq_enter(rseq_length);
    set_and_wake(&carrier->stage, RAMET_ENDED);
    set_and_wake(&carrier->over, 0);
    ramet_guard_drain(); /* while there is a thread left that can wait for it */
    while (carrier->stays)
        ramet_futex_wait(&carrier->stage, RAMET_ENDED, NULL);
    struct ramet_arena arena = carrier->arena;
    ramet_carrier_release(carrier);
    ramet_arena_leave(&arena);
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

int ramet_carrier_start_aside(void *(*run)(void *), void *context)
{
    return start_thread(run, context, 0);
}

struct ramet_carrier *ramet_carrier_start(size_t stack_size, struct ramet_stack *stack, bool again,
                                          const struct ramet_carrier_duties *duties, void *context, int *error)
{
    struct ramet_carrier *carrier = calloc(1, sizeof *carrier);
    if (carrier == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    carrier->holders = 2;
    carrier->over = carrier->claims = 1;
    carrier->epoch = ramet_epoch();
    carrier->again = again && carrier->epoch != 0;
    carrier->word = stack == NULL ? &carrier->lent : &stack->word;
    carrier->stack = stack;
    if (stack != NULL)
        ramet_stack_occupy(stack);
    carrier->duties = duties;
    carrier->context = context;
    *error = start_thread(carry, carrier, stack_size);
    if (*error != 0) {
        let_go(carrier);
        free(carrier);
        return NULL;
    }
    while (__atomic_load_n(&carrier->stage, __ATOMIC_ACQUIRE) == RAMET_STARTING)
        ramet_futex_wait(&carrier->stage, RAMET_STARTING, NULL);
    return carrier;
}

void ramet_carrier_dismiss(struct ramet_carrier *carrier)
{
    carrier->dismissed = true;
    set_and_wake(carrier->word, 0);
}

/* One child's deadline. */
struct limit {
    struct ramet_carrier *carrier;
    int claim;
    int64_t deadline;
};

static void *keep_limit(void *context)
{
    struct limit *limit = context;
    struct ramet_carrier *carrier = limit->carrier;
    const struct timespec alarm = {.tv_sec = limit->deadline / SECOND, .tv_nsec = limit->deadline % SECOND};
    while (!ramet_carrier_is_over(carrier, limit->claim) && ramet_now() < limit->deadline)
        ramet_futex_wait_until(&carrier->over, limit->claim, &alarm);
    ramet_futex_wake(&carrier->over); /* the kernel wakes one, and others may wait */
    if (!ramet_carrier_is_over(carrier, limit->claim))
        carrier->duties->expire(carrier->context);
    ramet_carrier_release(carrier);
    free(limit);
    return NULL;
}

int ramet_carrier_limit(struct ramet_carrier *carrier, int claim, int child, int64_t timeout)
{
    int64_t deadline = ramet_now() + timeout;
    carrier->child = child;
    carrier->kills = false;
    __atomic_store_n(&carrier->deadline, deadline, __ATOMIC_RELEASE);
    ramet_futex_wake(carrier->word); /* to a shorter sleep */
    struct limit *limit = calloc(1, sizeof *limit);
    if (limit == NULL)
        return ENOMEM;
    *limit = (struct limit){ramet_carrier_hold(carrier), claim, deadline};
    int error = start_thread(keep_limit, limit, 0);
    if (error != 0) {
        ramet_carrier_release(carrier);
        free(limit);
    }
    return error;
}

void ramet_carrier_leave(struct ramet_carrier *carrier)
{
    ramet_guard_leave(carrier->ward);
    carrier->ward = NULL;
    carrier->deadline = 0;
    ramet_syscall1(__NR_set_tid_address, &carrier->over);
}

bool ramet_carrier_holds_mutex(const struct ramet_carrier *carrier)
{
    void *head = carrier->robust_list;
    return head != NULL && *(void **)head != head; /* an empty ring is closed by its first link */
}

bool ramet_carrier_is_over(const struct ramet_carrier *carrier, int claim)
{
    return __atomic_load_n(&carrier->over, __ATOMIC_ACQUIRE) != claim;
}

void ramet_carrier_conclude(struct ramet_carrier *carrier)
{
    let_go(carrier);
    set_and_wake(&carrier->stage, RAMET_ENDED);
    set_and_wake(&carrier->over, 0);
    ramet_carrier_release(carrier); /* its thread's */
    ramet_carrier_release(carrier);
}

void ramet_carrier_wait_end(struct ramet_carrier *carrier)
{
    for (int stage; (stage = __atomic_load_n(&carrier->stage, __ATOMIC_ACQUIRE)) != RAMET_ENDED;)
        ramet_futex_wait(&carrier->stage, stage, NULL);
}

struct ramet_carrier *ramet_carrier_hold(struct ramet_carrier *carrier)
{
    __atomic_add_fetch(&carrier->holders, 1, __ATOMIC_RELAXED);
    return carrier;
}

void ramet_carrier_release(struct ramet_carrier *carrier)
{
    if (__atomic_sub_fetch(&carrier->holders, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    free(carrier->context);
    free(carrier);
}
