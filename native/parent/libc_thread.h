/* What libc keeps for the calling thread and the kernel knows of, found without the layout of libc's structures. */
#ifndef RAMET_LIBC_THREAD_H
#define RAMET_LIBC_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * libc's own word for the calling thread's tid, the owner that its mutexes write; NULL where it
 * cannot be found. fork() is a clone with CHILD_SETTID and CHILD_CLEARTID on this word.
 */
int *ramet_tid_word(void);

/* Not 0 until the calling thread ends, when the kernel clears it; NULL where no word is known to be so. */
const int *ramet_cleartid_word(void);

/* The same of the process's main thread. */
const int *ramet_main_cleartid_word(void);

/*
 * Whether another thread of libc's has ended as a task. Only for one that has not left its thread's
 * function: what libc keeps of it is there as long. False where there is no word for it.
 */
bool ramet_thread_has_ended(uintptr_t thread);

/* Where the word is that says so; 0 where it is not known. */
uintptr_t ramet_cleartid_word_of(uintptr_t thread);

/* The head of the calling thread's list of robust mutexes, NULL where there is none. */
void *ramet_robust_list(size_t *length);

/* In the child of a copy: the list is empty there, and the kernel has forgotten its head. */
void ramet_robust_list_reset(void *head, size_t length);

/*
 * The calling thread gives up its restartable sequences (rseq), so that the kernel writes no
 * processor number of its own into a block that is lent; then takes them up again. While they are
 * given up, sched_getcpu() in whoever uses the block asks the kernel, and is right.
 */
long ramet_rseq_unregister(void); /* returns the length that libc had registered, 0 for none */
void ramet_rseq_register(long length);

#endif
