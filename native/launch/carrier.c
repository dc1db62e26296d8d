/* The thread that lends a child its stack and its thread-local block. */
#define _GNU_SOURCE
#include "carrier.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "futex.h"
#include "libc_thread.h"
#include "memory.h"

/* Room for the signal frame of libc's setuid broadcast, which interrupts the carrier here. */
#define BENCH_BYTES 32768

#define NOT_YET_CLEARED (-1)

static void advance(struct ramet_carrier *carrier, enum ramet_carrier_stage stage)
{
    __atomic_store_n(&carrier->stage, stage, __ATOMIC_RELEASE);
    ramet_futex_wake(&carrier->stage);
}

/* On the bench. From here until the word is cleared nothing may touch errno or any other thread-local. */
static void lend(void *context, void *left)
{
    struct ramet_carrier *carrier = context;
    carrier->stack_top = (uintptr_t)left & ~(uintptr_t)15;
    advance(carrier, RAMET_LENT);
    for (int word; (word = __atomic_load_n(carrier->word, __ATOMIC_ACQUIRE)) != 0;)
        ramet_futex_wait(carrier->word, word, NULL);
}

/* The kernel has one word for each task, and the carrier needs it: it hands the clearing on. */
static void pass_clearing_on(struct ramet_carrier *carrier)
{
    if (!carrier->born || carrier->cleartid_word == NULL)
        return;
    __atomic_store_n(carrier->cleartid_word, 0, __ATOMIC_RELEASE);
    ramet_futex_wake(carrier->cleartid_word);
}

static void let_go(struct ramet_carrier *carrier)
{
    if (carrier->stack != NULL)
        ramet_stack_leave(carrier->stack);
    for (int i = 0; i < 2; i++)
        if (carrier->words[i] != NULL)
            ramet_word_release(carrier->words[i]);
}

static void *carry(void *context)
{
    struct ramet_carrier *carrier = context;
    char bench[BENCH_BYTES];
    sigset_t all;
    sigfillset(&all); /* libc leaves out its own two, and must: setuid waits for their handlers */
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    carrier->duties->prepare(carrier->context);
    carrier->thread_pointer = ramet_thread_pointer();
    long rseq_length = ramet_rseq_leave();
    ramet_on_stack(bench + sizeof bench, lend, carrier);
    ramet_rseq_enter(rseq_length);
    pass_clearing_on(carrier);
    let_go(carrier);
    carrier->duties->bury(carrier->context);
    advance(carrier, RAMET_DONE);
    ramet_carrier_release(carrier);
    return NULL;
}

static int start_thread(struct ramet_carrier *carrier, size_t stack_size)
{
    pthread_t thread;
    pthread_attr_t attr;
    int error = pthread_attr_init(&attr);
    if (error != 0)
        return error;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_size != 0)
        error = pthread_attr_setstacksize(&attr, stack_size + BENCH_BYTES);
    if (error == 0)
        error = pthread_create(&thread, &attr, carry, carrier);
    pthread_attr_destroy(&attr);
    return error;
}

struct ramet_carrier *ramet_carrier_start(size_t stack_size, struct ramet_stack *stack,
                                          const struct ramet_carrier_duties *duties, void *context, int *error)
{
    struct ramet_carrier *carrier = calloc(1, sizeof *carrier);
    if (carrier == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    carrier->holders = 2;
    carrier->own_word = NOT_YET_CLEARED;
    carrier->word = stack == NULL ? &carrier->own_word : &stack->word;
    carrier->stack = stack;
    if (stack != NULL)
        ramet_stack_occupy(stack);
    carrier->duties = duties;
    carrier->context = context;
    *error = start_thread(carrier, stack_size);
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
    __atomic_store_n(carrier->word, 0, __ATOMIC_RELEASE);
    ramet_futex_wake(carrier->word);
}

int ramet_carrier_wait(struct ramet_carrier *carrier, int64_t timeout)
{
    return ramet_futex_wait_while(&carrier->stage, RAMET_LENT, timeout);
}

void ramet_carrier_release(struct ramet_carrier *carrier)
{
    if (__atomic_sub_fetch(&carrier->holders, 1, __ATOMIC_ACQ_REL) == 0)
        free(carrier);
}
