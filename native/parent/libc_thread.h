/* What libc has for the calling thread: its stack, and what it has registered with the kernel; without the layout of libc's structures. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * libc's own word for the calling thread's tid, from which its mutexes take their owner; NULL where it
 * cannot be found. fork() is a clone with CHILD_SETTID and CHILD_CLEARTID on this word.
 */
int *ramet_tid_word(void);

/* The word that the kernel clears when the calling thread ends, and that is not 0 before; NULL where none is known. */
const int *ramet_cleartid_word(void);

/* That of the process's main thread. */
const int *ramet_main_cleartid_word(void);

/*
 * Whether another thread of libc's has ended as a task. Only for one that has not left its thread's
 * function: libc keeps its structure until then. False where there is no word for it.
 */
bool ramet_thread_has_ended(uintptr_t thread);

/* The address of that word; 0 where it is not known. */
uintptr_t ramet_cleartid_word_of(uintptr_t thread);

/* The bounds of the calling thread's stack, without its guard; false, and they stay as they are, where libc does not tell. */
bool ramet_stack_bounds(uintptr_t *lowest, uintptr_t *highest);

/* The head of the calling thread's list of robust mutexes, NULL where there is none. */
void *ramet_robust_list(size_t *length);

/* In a copied child: empties the list and registers its head, which the kernel does not inherit. */
void ramet_robust_list_reset(void *head, size_t length);

/*
 * What pthread_exit() would call in the calling thread. A child that is killed while it waits in libc leaves its own there, which
 * lie where its stack was: so these are kept before a block is lent, and put back afterwards.
 */
struct ramet_cleanups {
    void *room[4]; /* for libc */
};

void ramet_cleanups_keep(struct ramet_cleanups *kept);
void ramet_cleanups_put_back(struct ramet_cleanups *kept);

/*
 * Unregisters the calling thread's restartable sequences (rseq), so that the kernel does not write the
 * number of its processor into a block that is lent, and registers them again. In between, sched_getcpu()
 * in the task that uses the block asks the kernel, and is right.
 */
long ramet_rseq_unregister(void); /* returns the length that libc had registered, 0 for none */
void ramet_rseq_register(long length);
