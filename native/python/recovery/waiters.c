/* A child that is killed as it waits for something has its place among those that wait. */
#define _GNU_SOURCE
#include "python_inside.h"
#include "task_state.h"

#include <dlfcn.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>

#define NEAR_WORDS 1024 /* from the stack pointer up: an entry's function calls little that is deep */
#define DEAD_PIECES 8   /* of as many words */
#define LEAST_ADDRESS 4096

/*
 * A task that is woken to take a lock, and killed before it does, has had the wake of another, which sleeps on:
 * so all are woken that sleep on a word that is named on the stack. They look, and sleep again.
 */
static void wake_all_on(void *word)
{
    if ((uintptr_t)word % sizeof(int) == 0)
        ramet_syscall3(__NR_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX);
}

#if PY_VERSION_HEX >= 0x030d0000

/*
 * Since 3.13 a thread that waits for a lock is in a table of the interpreter's, by an entry on its stack:
 *
 *     struct wait_entry { void *park_arg; uintptr_t addr; ... }      Python/parking_lot.c
 *
 * It still does when its time is up and it waits for the GIL to take itself off. So all who wait for
 * anything that is named on the stack are woken there, too, and the victim, which is stopped, is off the
 * table.
 */
static void unpark_all_on(void *word)
{
    static void (*unpark_all)(const void *);
    static bool looked_up;
    if (!looked_up)
        *(void **)&unpark_all = dlsym(RTLD_DEFAULT, "_PyParkingLot_UnparkAll");
    looked_up = true;
    if (unpark_all != NULL)
        unpark_all(word);
}

#else

static void unpark_all_on(void *word)
{
    (void)word;
}

#endif

/* How many. The kernel copies what there is: the stack may end before. */
static size_t read_above(unsigned long stack_pointer, void **words)
{
    return ramet_read_memory(words, stack_pointer, NEAR_WORDS * sizeof *words) / sizeof *words;
}

static void wake_waiters(void *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((uintptr_t)words[i] < LEAST_ADDRESS)
            continue;
        wake_all_on(words[i]);
        unpark_all_on(words[i]);
    }
}

static void wake_waiters_above(unsigned long stack_pointer)
{
    void *words[NEAR_WORDS];
    wake_waiters(words, read_above(stack_pointer, words));
}

/* Where it was is not known: so all is looked through that it is likely to have used. */
void core_wake_waiters_of_dead(unsigned long stack_top)
{
    for (unsigned long piece = 1; piece <= DEAD_PIECES; piece++)
        wake_waiters_above(stack_top - piece * NEAR_WORDS * sizeof(void *));
}

void core_keep_stack(struct core_dead_stack *kept, unsigned long stack_top)
{
    size_t room = DEAD_PIECES * NEAR_WORDS * sizeof(void *);
    long block = ramet_syscall6(__NR_mmap, 0, (long)room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *kept = (struct core_dead_stack){.top = stack_top};
    if (block < 0 && block > -LEAST_ADDRESS) {
        core_wake_waiters_of_dead(stack_top);
        return;
    }
    kept->block = (void *)block;
    kept->room = room;
    kept->words = (void **)block + DEAD_PIECES * NEAR_WORDS;
    for (unsigned long piece = 1; piece <= DEAD_PIECES; piece++) {
        if (read_above(stack_top - piece * NEAR_WORDS * sizeof(void *), kept->words - NEAR_WORDS) < NEAR_WORDS)
            break;
        kept->words -= NEAR_WORDS;
        kept->count += NEAR_WORDS;
    }
    wake_waiters(kept->words, kept->count);
}

void core_forget_stack(struct core_dead_stack *kept)
{
    if (kept->room != 0)
        ramet_syscall2(__NR_munmap, kept->block, kept->room);
    *kept = (struct core_dead_stack){0};
}

void core_remove_waiter(const struct ramet_syscall_state *call)
{
    void *words[NEAR_WORDS];
    size_t count = read_above(call->stack_pointer, words);
    wake_waiters(words, count);
    if (!ramet_waits_in_futex(call))
        return;
    wake_all_on((void *)call->first);
    pthread_cond_t *condvar = ramet_condvar_of(words, count, (const int *)call->first); /* the GIL's, or a library's */
    if (condvar != NULL)
        ramet_condvar_remove(condvar, (const int *)call->first);
    else
        core_gil_remove_waiter((const int *)call->first);
}
