/*
 * What a child in shared memory leaves half done in libc when it dies at any place: it is found and mended
 * by the layout of glibc's own structures. The only header of this folder for others. With another libc, or with
 * a layout that is not the expected one, nothing here is done.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- recognize_libc.c: whether glibc's structures are laid out as the rest of this folder takes them to be */

enum ramet_libc_part { RAMET_CONDVARS, RAMET_MUTEXES, RAMET_ARENAS, RAMET_THREAD_LIST, RAMET_LIBC_PARTS };

/*
 * Looks at a mutex, a condition variable and a thread of its own, and compares what it finds with what is known by other
 * means. Once, before the first child; until then every part is off. why_off: NULL, or why all are to stay off.
 */
void ramet_recognize_libc(const char *why_off);

/* Why a part does nothing; NULL where it works. */
const char *ramet_why_off(enum ramet_libc_part part);

/* ---- read_memory.c */

/* This memory, read by the kernel: what a dead task has left may lead to where nothing is. How many of the bytes there are. */
size_t ramet_read_memory(void *to, uintptr_t from, size_t size);

/* ---- condvar.c: a condition variable counts who waits on it, and a dead task is waited for, or gets a signal, for ever */

/*
 * For a task that is stopped, will be killed, and sleeps on this word: if that is the condition variable's, it is off the
 * count.
 */
void ramet_condvar_remove(pthread_cond_t *condvar, const int *word);

/*
 * The condition variable on which a stopped task waits that sleeps on this word. stack: what lies there from its
 * stack pointer up. NULL when it waits on something else: a semaphore's word looks the same.
 */
pthread_cond_t *ramet_condvar_of(void *const *stack, size_t count, const int *word);

/* Whether it goes by the monotonic clock, and is as the layout has it. */
bool ramet_condvar_is_monotonic(const pthread_cond_t *condvar);

/*
 * With the mutex of the condition variable: removes the dead tasks. All that wait are woken, as they may be for no
 * reason at any time: a signal may have been meant for a dead task, or died with it. A task that has not left
 * it so many nanoseconds after it was woken is taken for dead.
 */
void ramet_condvar_mend(pthread_cond_t *condvar, int64_t patience);

/*
 * The same for a mutex that cannot be had, since its owner, of that tid, signals and waits for the dead task: lets the owner go
 * on.
 */
void ramet_condvar_let_go_on(pthread_cond_t *condvar, int tid);

/* ---- mutex.c: the owner that glibc writes into a mutex; 0 where there is none, or it is not known */
int ramet_mutex_owner(const pthread_mutex_t *mutex);

/* Whether it can be one at all: of the kind that has no attributes. */
bool ramet_mutex_is_plain(const pthread_mutex_t *mutex);

/* Whether a dead task of that tid holds it, or one that had no time to write itself down. */
bool ramet_mutex_is_left(const pthread_mutex_t *mutex, int tid);

/* Gives it back then; and wakes a thread that waits for it, since the dead task may have had the wake. */
void ramet_mutex_give_back(pthread_mutex_t *mutex, int tid);

/* ---- arena.c: where a thread allocates, and how it comes to allocate elsewhere */

#define RAMET_LIBC_LOCALS 512

/*
 * glibc gives a thread an arena of its own, up to eight for each processor, and a child allocates from its host
 * thread's. Killed within malloc it takes the arena's lock with it, whose owner is not known, and the next to
 * allocate there is the host thread itself. What the arena holds may be half changed. Where that can be put in order
 * the host thread goes on in it. Else it is given up: libc's thread-locals are put back as they were before the host
 * thread first allocated, and malloc finds a thread that has no arena yet. The lock stays as it is, which keeps all
 * others from allocating there; a thread that frees what lies there waits for ever. In the child of a fork, which
 * begins with one thread, it is put in order.
 */
struct ramet_arena {
    int *lock; /* NULL: it is shared with the main thread, or cannot be found */
    uintptr_t cache; /* of this thread alone; 0: not found */
    bool given_up;
    bool noted;
    char locals[RAMET_LIBC_LOCALS] __attribute__((aligned(sizeof(void *))));
};

/* In a thread that is new: how libc's thread-locals are before it has allocated. */
void ramet_arena_note(struct ramet_arena *arena);

/* In the same thread, once it has allocated: where it does. */
void ramet_arena_find(struct ramet_arena *arena);

/* When the child is gone: corrects the cache, and mends or gives up an arena whose lock is held and stays so. */
void ramet_arena_recover(struct ramet_arena *arena);

/* Whether a block from malloc lies in an arena that was given up, so that a thread that frees it may wait for ever. */
bool ramet_arena_has_lost(const void *block);

/* At the end of the thread: libc would give back the child's memory, and wait for the lock. */
void ramet_arena_leave(const struct ramet_arena *arena);

/* ---- lost_threads.c: threads that died with a process that shared this memory, and which libc lists as living */

/*
 * How many there are, of those that were made for such functions. After the end of the last of them. 0 where they cannot be
 * found.
 */
long ramet_count_lost_threads(bool (*counts)(uintptr_t function));

/*
 * Removes them from the condition variables on which they slept: else a thread that signals one, or destroys it, waits for
 * them.
 */
void ramet_forget_lost_threads(void);
