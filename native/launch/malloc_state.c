/*
 * Arenas beside the main one (glibc's malloc/arena.c, malloc/malloc.c). An arena lies at the begin of
 * its first heap, behind the heap's header, and its heaps are chained from the last to the first.
 *
 * Who dies with the lock leaves lists of free chunks half linked. But the sizes of the chunks, each of
 * which leads to the next, are right but for a few instructions. So the lists are emptied, and all chunks
 * marked as used: then no chunk that is freed later is merged with one that was free, which would be
 * taken off its list.
 */
#define _GNU_SOURCE
#include "malloc_state.h"

#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "futex.h"

#define HEAP_ALIGNMENT (UINT64_C(64) << 20)
#define FIRST_HEAP_BYTES 256 /* more than the header, behind which the arena of a first heap lies */
#define ALIGNMENT 16

#define PREVIOUS_IN_USE 0x1 /* in the size of each chunk */
#define OF_NO_MAIN_ARENA 0x4
#define FLAGS 0x7

#define BINS 127
#define MOSTLY_EMPTY 32

struct heap {
    uintptr_t arena, previous, size;
};

/* The part that has kept its form since glibc 2.4; before it lie the lock and, until 2.42, the fast bins. */
struct state {
    uintptr_t top, last_remainder, bins[BINS][2];
    unsigned binmap[4];
    uintptr_t next, next_free, attached_threads, system_mem, max_system_mem;
};

static const size_t behind_lock[] = {8, 96}; /* since 2.43, and since 2.27 */

/* The kernel copies what there is: with huge pages the heaps of malloc are aligned otherwise. */
static uintptr_t word_at(uintptr_t address)
{
    uintptr_t word = 0;
    struct iovec here = {&word, sizeof word}, there = {(void *)address, sizeof word};
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == sizeof word ? word : 0;
}

static struct heap *heap_of(uintptr_t address)
{
    return (struct heap *)(address & ~(HEAP_ALIGNMENT - 1));
}

int *ramet_malloc_lock_over(const void *block)
{
    if (!(((const uintptr_t *)block)[-1] & OF_NO_MAIN_ARENA))
        return NULL;
    uintptr_t heap = (uintptr_t)heap_of((uintptr_t)block), arena = word_at(heap);
    return arena > heap && arena < heap + FIRST_HEAP_BYTES ? (int *)arena : NULL;
}

static uintptr_t *size_of(uintptr_t chunk)
{
    return (uintptr_t *)chunk + 1;
}

/* ---- what is what */

/* An empty bin refers to itself, as if it were the links of a chunk. */
static uintptr_t empty_bin(struct state *state, int bin)
{
    return (uintptr_t)state->bins[bin] - 2 * sizeof(uintptr_t);
}

static bool is_state(struct state *state, uintptr_t arena)
{
    int empty = 0;
    for (int bin = 0; bin < BINS; bin++)
        empty += state->bins[bin][0] == empty_bin(state, bin) && state->bins[bin][1] == empty_bin(state, bin);
    return empty >= MOSTLY_EMPTY && word_at((uintptr_t)heap_of(state->top)) == arena;
}

static struct state *state_of(uintptr_t arena)
{
    for (size_t i = 0; i < sizeof behind_lock / sizeof *behind_lock; i++) {
        struct state *state = (struct state *)(arena + behind_lock[i]);
        if (is_state(state, arena))
            return state;
    }
    return NULL;
}

static uintptr_t first_chunk(struct heap *heap, struct state *state)
{
    uintptr_t arena = heap->arena;
    if (heap == heap_of(arena))
        return ((uintptr_t)(state + 1) + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    return (uintptr_t)heap + (arena - (uintptr_t)heap_of(arena));
}

/* ---- from chunk to chunk */

/*
 * Marks all as used, if told to. The last: the top one where there is one, else the empty one that
 * closes a heap that has been filled; 0 where the sizes do not lead there.
 */
static uintptr_t last_chunk(struct heap *heap, struct state *state, bool mark)
{
    const uintptr_t end = (uintptr_t)heap + heap->size;
    const bool filled = heap != heap_of(state->top);
    for (uintptr_t chunk = first_chunk(heap, state);;) {
        if (filled ? chunk == end - ALIGNMENT : chunk == state->top)
            return filled && (*size_of(chunk) & ~(uintptr_t)FLAGS) != 0 ? 0 : chunk;
        uintptr_t size = *size_of(chunk) & ~(uintptr_t)FLAGS;
        if (size < ALIGNMENT || size % ALIGNMENT != 0 || size > end - chunk)
            return 0;
        if (mark)
            *size_of(chunk) |= PREVIOUS_IN_USE;
        if (size == end - chunk)
            return filled ? 0 : chunk; /* it was about to be the top one, or to be so no more */
        chunk += size;
    }
}

/* The top chunk; 0 where something is not in order. */
static uintptr_t go_through(struct state *state, uintptr_t arena, bool mark)
{
    uintptr_t top = last_chunk(heap_of(state->top), state, mark);
    for (struct heap *heap = heap_of(state->top); top != 0 && heap != heap_of(arena);) {
        heap = (struct heap *)heap->previous;
        if (word_at((uintptr_t)heap) != arena || last_chunk(heap, state, mark) == 0)
            return 0;
    }
    return top;
}

/* ---- the arena */

static void empty(struct state *state, uintptr_t arena, uintptr_t top)
{
    const struct heap *heap = heap_of(top);
    uintptr_t fast_bins = arena + 2 * sizeof(int); /* behind the lock and the flags */
    memset((void *)fast_bins, 0, (uintptr_t)state - fast_bins);
    state->top = top;
    *size_of(top) = ((uintptr_t)heap + heap->size - top) | PREVIOUS_IN_USE;
    state->last_remainder = 0;
    for (int bin = 0; bin < BINS; bin++)
        state->bins[bin][0] = state->bins[bin][1] = empty_bin(state, bin);
    memset(state->binmap, 0, sizeof state->binmap);
}

/* ---- the lock (nptl's lowlevellock.h) */

#define FREE 0
#define LOCKED 2 /* and somebody may wait */

static void unlock(int *lock)
{
    if (__atomic_exchange_n(lock, FREE, __ATOMIC_RELEASE) == LOCKED)
        ramet_syscall3(__NR_futex, lock, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
}

bool ramet_malloc_lock_is_had(int *lock, int64_t deadline)
{
    const struct timespec moment = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    while (__atomic_exchange_n(lock, LOCKED, __ATOMIC_ACQUIRE) != FREE) {
        if (ramet_now() >= deadline)
            return false;
        ramet_syscall6(__NR_futex, (long)lock, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, LOCKED, (long)&moment, 0,
                       FUTEX_BITSET_MATCH_ANY);
    }
    unlock(lock);
    return true;
}

bool ramet_malloc_mend(int *lock)
{
    uintptr_t arena = (uintptr_t)lock;
    struct state *state = state_of(arena);
    uintptr_t top = state == NULL ? 0 : go_through(state, arena, false);
    if (top == 0)
        return false;
    go_through(state, arena, true);
    empty(state, arena, top);
    unlock(lock);
    return true;
}
