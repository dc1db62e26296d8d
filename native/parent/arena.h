/*
 * The part of malloc in a host thread. glibc gives a thread an arena of its own, up to eight for each
 * processor, and a child allocates from its host thread's. Killed within malloc it takes the arena's lock
 * with it, of which nobody knows the owner, and the next to allocate there is its recovering thread.
 *
 * What the arena holds may be half changed. It is put in order where that can be done, see malloc_state.h,
 * and the host thread goes on in it. Else it is given up: libc's thread-locals are put back as they were before
 * the host thread first allocated, and malloc finds a thread that has no arena yet. The lock stays as it is,
 * which keeps all others from allocating there: malloc passes over arenas that it finds locked. Who frees
 * what lies there waits for ever. In the child of a fork, which begins with one thread, it is put in order.
 */
#ifndef RAMET_ARENA_H
#define RAMET_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#define RAMET_LIBC_LOCALS 512

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

/* When the child is gone: puts the cache right, and mends or gives up an arena whose lock is held and stays so. */
void ramet_arena_recover(struct ramet_arena *arena);

/* Whether a block from malloc lies in an arena that was given up, so that whoever frees it may wait for ever. */
bool ramet_arena_has_lost(const void *block);

/* At the end of the thread: libc would give back the child's memory, and wait for the lock. */
void ramet_arena_leave(const struct ramet_arena *arena);

#endif
