/*
 * glibc's condition variables (nptl/pthread_cond_common.c). One counts who waits on it: until glibc 2.40 a task that was
 * killed there is waited for by the next but one that signals, for ever; since then a signal is lost on it. A waiter
 * belongs to one of two groups, and sleeps on the word of its group. A group that has had all its signals is closed: its
 * waiters leave, and until glibc 2.40 the task that closes it waits for the last.
 */
#define _GNU_SOURCE
#include "libc_inside.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <return_address.h>
#include <string.h>

#include "futex.h"
#include "proc_file.h"
#include "threads_at_rest.h"
#include "task_state.h"

#define GROUPS 2

/* Words of the structure by their number. */
struct layout {
    /* Of each group: twice those that are about to sleep or to leave, and a bit for the task that waits for them; 0: none. */
    int refs;
    int sizes; /* and then the lock, in two bits */
    int lock;
    int waiters; /* eight times how many, and three bits */
    int signals; /* of each group: what its waiters sleep on */
};

static const struct layout with_refs = {.refs = 4, .sizes = 6, .lock = 8, .waiters = 9, .signals = 10};
static const struct layout without_refs = {.sizes = 4, .lock = 6, .waiters = 7, .signals = 8};

#define WAITER 8
#define REFERENCE 2
#define CLOSER_WAITS 1U
#define GROUP_IS_CLOSED 1U
#define LOCK_BITS 3U
#define KEPT_BITS 3U /* whether it is shared between processes, and its clock */
#define OF_MONOTONIC_CLOCK 2U

static const struct layout *layout;

/* The version does not tell: distributions have taken the later form into earlier ones. */
static const struct layout *layout_of_new(void)
{
    pthread_cond_t condvar;
    pthread_condattr_t attributes;
    unsigned words[sizeof condvar / sizeof(unsigned)];
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    memset(&condvar, 0, sizeof condvar);
    pthread_cond_init(&condvar, &attributes);
    memcpy(words, &condvar, sizeof words);
    pthread_cond_destroy(&condvar);
    pthread_condattr_destroy(&attributes);
    if (words[with_refs.waiters] == OF_MONOTONIC_CLOCK)
        return &with_refs;
    return words[without_refs.waiters] == OF_MONOTONIC_CLOCK ? &without_refs : NULL;
}

/* Where libc's own code waits on one. */
#define WAITS 3
static struct code {
    uintptr_t begin, end;
} waits[WAITS];

#ifdef __GLIBC__

static void find_code(void)
{
    static const char *const names[WAITS] = {"pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait"};
    for (int i = 0; i < WAITS; i++) {
        void *begin = dlsym(RTLD_DEFAULT, names[i]);
        const ElfW(Sym) *symbol = NULL;
        Dl_info info;
        if (begin != NULL && dladdr1(begin, &info, (void **)&symbol, RTLD_DL_SYMENT) != 0 && symbol != NULL)
            waits[i] = (struct code){(uintptr_t)begin, (uintptr_t)begin + symbol->st_size};
    }
}

#else

/* musl tells no symbol's length; and what its condition variables have is another thing. */
static void find_code(void)
{
}

#endif

bool ramet_condvar_find_layout(void)
{
    layout = layout_of_new();
    find_code();
    return layout != NULL;
}

/* Also while it is being found out. */
static bool is_known(void)
{
    return layout != NULL && ramet_is_on(RAMET_CONDVARS);
}

static unsigned *word_of(pthread_cond_t *condvar, int number)
{
    return (unsigned *)condvar + number;
}

static long wake(unsigned *word)
{
    return ramet_syscall3(__NR_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX);
}

static bool is_at(const int *word, pthread_cond_t *condvar, int number)
{
    return (const unsigned *)word == word_of(condvar, number);
}

/* The frames between libc's wait and its system call are small. */
#define RETURN_WITHIN_WORDS 64
#define ADDRESS_WITHIN_WORDS 128

static bool is_in_wait(void *const *stack, size_t count)
{
    for (size_t i = 0; i < count && i < RETURN_WITHIN_WORDS; i++) {
        const uintptr_t address = ramet_return_address(stack[i]);
        for (int k = 0; k < WAITS; k++)
            if (address > waits[k].begin && address < waits[k].end)
                return true;
    }
    return false;
}

static bool has_waiters(pthread_cond_t *condvar, int group)
{
    return *word_of(condvar, layout->waiters) >= WAITER &&
           (layout->refs == 0 || *word_of(condvar, layout->refs + group) >= REFERENCE);
}

pthread_cond_t *ramet_condvar_of(void *const *stack, size_t count, const int *word)
{
    if (!is_known() || !is_in_wait(stack, count))
        return NULL;
    for (size_t i = 0; i < count && i < ADDRESS_WITHIN_WORDS; i++)
        for (int group = 0; group < GROUPS; group++)
            if (is_at(word, stack[i], layout->signals + group) && has_waiters(stack[i], group))
                return stack[i];
    return NULL;
}

void ramet_condvar_remove(pthread_cond_t *condvar, const int *word)
{
    for (int group = 0; is_known() && group < GROUPS; group++) {
        if (!is_at(word, condvar, layout->signals + group))
            continue;
        unsigned *refs = word_of(condvar, layout->refs + group);
        if (layout->refs != 0 && __atomic_fetch_sub(refs, REFERENCE, __ATOMIC_ACQ_REL) == (REFERENCE | CLOSER_WAITS)) {
            __atomic_fetch_and(refs, ~CLOSER_WAITS, __ATOMIC_RELEASE);
            wake(refs);
        }
        __atomic_fetch_sub(word_of(condvar, layout->waiters), WAITER, __ATOMIC_RELEASE);
    }
}

bool ramet_condvar_is_monotonic(const pthread_cond_t *condvar)
{
    return !is_known() || (((const unsigned *)condvar)[layout->waiters] & KEPT_BITS) == OF_MONOTONIC_CLOCK;
}

#define LOOKS 250 /* 50 ms: a task that is about to sleep, or to leave, may have to wait for a processor */
#define PAUSE_NANOSECONDS 200000

/* Of the living: told to sleep on the word on which they sleep, they are counted, and sleep on. */
static long count_on(pthread_cond_t *condvar, int group)
{
    unsigned *word = word_of(condvar, layout->signals + group);
    return ramet_syscall5(__NR_futex, word, FUTEX_REQUEUE | FUTEX_PRIVATE_FLAG, 0, INT_MAX, word);
}

/* ---- after a death that was not prepared */

#define BEFORE_RETURN_WORDS 16 /* what the function that waits has called saves below */

static bool is_readable(const pthread_cond_t *condvar)
{
    pthread_cond_t copy;
    return (uintptr_t)condvar % _Alignof(pthread_cond_t) == 0 &&
           ramet_read_memory(&copy, (uintptr_t)condvar, sizeof copy) == sizeof copy;
}

/* As far as is known at this moment: a living one may be about to sleep, or to leave. */
static long count_dead(pthread_cond_t *condvar, int group)
{
    if (layout->refs != 0)
        return (long)(*word_of(condvar, layout->refs + group) / REFERENCE) - count_on(condvar, group);
    return (long)(*word_of(condvar, layout->waiters) / WAITER) - count_on(condvar, 0) - count_on(condvar, 1);
}

static void remove_dead(pthread_cond_t *condvar, int group)
{
    long dead = count_dead(condvar, group);
    for (int look = 1; look < LOOKS && dead > 0; look++) {
        ramet_pause(PAUSE_NANOSECONDS);
        long now = count_dead(condvar, group);
        dead = now < dead ? now : dead;
    }
    for (; dead > 0; dead--)
        ramet_condvar_remove(condvar, (const int *)word_of(condvar, layout->signals + group));
}

/* All words of one wait: the structure's address, and that of the word in it. */
static void forget_dead_in(void *const *window, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            for (int group = 0; group < GROUPS; group++)
                if (is_at(window[i], window[k], layout->signals + group) && is_readable(window[k]) &&
                    has_waiters(window[k], group)) {
                    remove_dead(window[k], group);
                    return;
                }
}

void ramet_condvar_forget_dead(void *const *stack, size_t count)
{
    for (size_t i = 0; is_known() && i < count; i++) {
        if (!is_in_wait(stack + i, 1))
            continue;
        size_t first = i < BEFORE_RETURN_WORDS ? 0 : i - BEFORE_RETURN_WORDS;
        size_t length = count - first < RAMET_CONDVAR_WINDOW_WORDS ? count - first : RAMET_CONDVAR_WINDOW_WORDS;
        forget_dead_in(stack + first, length);
    }
}

/* ---- with its mutex: no thread begins to wait, and none signals */

#define LOOKS_FOR_LATECOMERS 50
#define PATIENCE_NANOSECONDS INT64_C(200000000)

static long count_sleepers(pthread_cond_t *condvar)
{
    return count_on(condvar, 0) + count_on(condvar, 1);
}

static void wake_sleepers(pthread_cond_t *condvar)
{
    for (int group = 0; group < GROUPS; group++)
        wake(word_of(condvar, layout->signals + group));
}

static bool is_in_order(pthread_cond_t *condvar)
{
    unsigned waiters = __atomic_load_n(word_of(condvar, layout->waiters), __ATOMIC_ACQUIRE) / WAITER;
    unsigned lock = __atomic_load_n(word_of(condvar, layout->lock), __ATOMIC_ACQUIRE) & LOCK_BITS;
    return lock == 0 && (long)waiters <= count_sleepers(condvar);
}

/* It takes a moment to wake up and leave: until there is a processor for each. */
static bool is_in_order_within(pthread_cond_t *condvar, int64_t patience)
{
    const int64_t deadline = ramet_now() + patience;
    while (!is_in_order(condvar)) {
        if (ramet_now() >= deadline)
            return false;
        ramet_pause(PAUSE_NANOSECONDS);
    }
    return true;
}

static void unlock(pthread_cond_t *condvar)
{
    unsigned *lock = word_of(condvar, layout->lock);
    __atomic_fetch_and(lock, ~LOCK_BITS, __ATOMIC_RELEASE);
    wake(lock);
}

/* With each group closed its waiters leave; they come back to the mutex, which is had. */
static void send_all_away(pthread_cond_t *condvar)
{
    if (layout->refs == 0) {
        pthread_cond_broadcast(condvar);
        return;
    }
    for (int group = 0; group < GROUPS; group++)
        __atomic_fetch_or(word_of(condvar, layout->signals + group), GROUP_IS_CLOSED, __ATOMIC_RELEASE);
    wake_sleepers(condvar);
}

/* As it was made. */
static void empty(pthread_cond_t *condvar)
{
    unsigned kept = *word_of(condvar, layout->waiters) & KEPT_BITS;
    memset(condvar, 0, sizeof *condvar);
    *word_of(condvar, layout->waiters) = kept;
}

/* Other children are threads of other processes: one may have been on its way out, and without a processor. */
static void await_latecomers(pthread_cond_t *condvar)
{
    for (int look = 0; layout->refs != 0 && look < LOOKS_FOR_LATECOMERS; look++) {
        ramet_pause(PAUSE_NANOSECONDS);
        if ((int)*word_of(condvar, layout->waiters) < 0 || (int)*word_of(condvar, layout->refs) < 0 ||
            (int)*word_of(condvar, layout->refs + 1) < 0)
            empty(condvar);
    }
}

void ramet_condvar_mend(pthread_cond_t *condvar, int64_t patience)
{
    if (!is_known())
        return;
    if (is_in_order_within(condvar, patience)) {
        wake_sleepers(condvar);
        pthread_cond_broadcast(condvar);
        return;
    }
    unlock(condvar);
    send_all_away(condvar);
    ramet_each_thread_at_rest(PATIENCE_NANOSECONDS);
    empty(condvar);
    await_latecomers(condvar);
}

/* ---- without it */

void ramet_condvar_let_go_on(pthread_cond_t *condvar, int tid)
{
    struct ramet_syscall_state call = ramet_task_syscall(ramet_proc_number_of_task(tid));
    const int *word = (const int *)call.first;
    if (!is_known() || tid == 0 || !ramet_waits_in_futex(&call))
        return;
    if (is_at(word, condvar, layout->lock))
        unlock(condvar);
    for (int group = 0; layout->refs != 0 && group < GROUPS; group++)
        if (is_at(word, condvar, layout->refs + group)) {
            __atomic_store_n(word_of(condvar, layout->refs + group), 0, __ATOMIC_RELEASE);
            wake(word_of(condvar, layout->refs + group));
        }
}
