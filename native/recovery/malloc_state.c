/*
 * glibc's malloc: an arena whose lock died with its holder is put in order and given back. A thread that frees what
 * lies there, or takes all locks to fork, would wait for ever: since glibc 2.43 for the smallest block, too.
 *
 * Arenas beside the main one (glibc's malloc/arena.c, malloc/malloc.c). An arena lies at the begin of
 * its first heap, behind the heap's header, and its heaps are chained from the last to the first.
 *
 * A task that dies with the lock leaves lists of free chunks half linked. But the sizes of the chunks, each of
 * which leads to the next, are right, but for one at most. So the lists are emptied, and all chunks
 * marked as used: then no chunk that is freed later is merged with one that was free, which would be
 * taken off its list.
 */
#define _GNU_SOURCE
#include "libc_inside.h"

#include <stdlib.h>
#include <string.h>
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
#define MOST_BESIDES 64 /* of a chunk, what is not its block's */

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
    return ramet_read_memory(&word, address, sizeof word) == sizeof word ? word : 0;
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

/* A heap, as one goes through it. */
struct walk {
    struct state *state;
    struct heap *heap;
    uintptr_t end;
    uintptr_t limit; /* where its last chunk lies: the top one, or the empty one that closes it when it is filled */
};

static struct walk walk_through(struct heap *heap, struct state *state)
{
    uintptr_t end = (uintptr_t)heap + heap->size;
    return (struct walk){state, heap, end, heap == heap_of(state->top) ? state->top : end - ALIGNMENT};
}

static uintptr_t bytes_of(uintptr_t chunk)
{
    return *size_of(chunk) & ~(uintptr_t)FLAGS;
}

/* The one that its size leads to; 0 where that cannot be. */
static uintptr_t after(const struct walk *walk, uintptr_t chunk)
{
    uintptr_t bytes = bytes_of(chunk);
    return bytes < ALIGNMENT || bytes % ALIGNMENT != 0 || bytes > walk->limit - chunk ? 0 : chunk + bytes;
}

static bool is_last(const struct walk *walk, uintptr_t chunk)
{
    if (walk->limit != walk->state->top)
        return chunk == walk->limit && bytes_of(chunk) == 0;
    return chunk == walk->limit || bytes_of(chunk) == walk->end - chunk; /* about to be the top one, or to be so no more */
}

static bool leads_to_last(const struct walk *walk, uintptr_t chunk)
{
    while (chunk != 0 && !is_last(walk, chunk))
        chunk = after(walk, chunk);
    return chunk != 0;
}

/* Where the free chunk before this one began, as this one has it; 0 where that is in use. */
static uintptr_t begin_of_free_before(uintptr_t chunk)
{
    return *size_of(chunk) & PREVIOUS_IN_USE ? 0 : chunk - *(uintptr_t *)chunk;
}

/*
 * Whether it may have been split off just now, and have an old word in the place of its size: that is of
 * a chunk that lies in the first bin already, or took the rest of one that does.
 */
static bool may_be_new(const struct state *state, uintptr_t previous, uintptr_t chunk)
{
    const uintptr_t first = state->bins[0][0], last = state->bins[0][1];
    if (chunk == first || chunk == last)
        return true;
    return (previous == first || previous == last) && begin_of_free_before(chunk) != previous;
}

/* The first up to a limit that may be a chunk; where told so, only one that says that it lies behind what was free there. */
static uintptr_t next_but_not_by_size(const struct walk *walk, uintptr_t previous, uintptr_t chunk, uintptr_t limit,
                                      bool behind_free)
{
    for (uintptr_t next = chunk + ALIGNMENT; next < limit; next += ALIGNMENT) {
        uintptr_t begin = begin_of_free_before(next);
        if ((!behind_free || (begin >= previous && begin <= chunk)) && leads_to_last(walk, next))
            return next;
    }
    return 0;
}

/*
 * A chunk has no size, or a wrong one, from when it is split off until it is told its own; and when the
 * small one before it takes it in, whose new links are wide enough to lie over it. But the one behind it
 * knows still how far it is to the begin of what was free.
 */
static uintptr_t following(const struct walk *walk, uintptr_t previous, uintptr_t chunk)
{
    uintptr_t next = after(walk, chunk);
    if (next != 0 && (!may_be_new(walk->state, previous, chunk) || begin_of_free_before(next) == chunk))
        return next;
    uintptr_t found = next_but_not_by_size(walk, previous, chunk, next != 0 ? next : walk->limit, true);
    if (found != 0 || next != 0)
        return found != 0 ? found : next;
    return next_but_not_by_size(walk, previous, chunk, walk->limit, false);
}

/* Marks all as used, if told to; 0 where the chunks do not lead to the last one. */
static uintptr_t last_chunk(const struct walk *walk, bool mark)
{
    uintptr_t chunk = first_chunk(walk->heap, walk->state), previous = chunk, next;
    for (; !is_last(walk, chunk); previous = chunk, chunk = next) {
        if ((next = following(walk, previous, chunk)) == 0)
            return 0;
        if (mark)
            *size_of(chunk) = (next - chunk) | (*size_of(chunk) & OF_NO_MAIN_ARENA) | PREVIOUS_IN_USE;
    }
    return chunk;
}

/* The top chunk; 0 where something is not in order. */
static uintptr_t go_through(struct state *state, uintptr_t arena, bool mark)
{
    struct walk walk = walk_through(heap_of(state->top), state);
    uintptr_t top = last_chunk(&walk, mark);
    while (top != 0 && walk.heap != heap_of(arena)) {
        struct heap *heap = (struct heap *)walk.heap->previous;
        if (word_at((uintptr_t)heap) != arena)
            return 0;
        walk = walk_through(heap, state);
        if (last_chunk(&walk, mark) == 0)
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
#define LOCKED 2 /* and a thread may wait */

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

bool ramet_malloc_is_in_order(int *lock, const void *block, size_t bytes)
{
    struct state *state = state_of((uintptr_t)lock);
    uintptr_t chunk = (uintptr_t)block - 2 * sizeof(uintptr_t), room = bytes_of(chunk);
    return *lock == FREE && state != NULL && state->attached_threads >= 1 && state->system_mem <= state->max_system_mem &&
           state->system_mem >= heap_of(state->top)->size && room > bytes && room < bytes + MOST_BESIDES &&
           go_through(state, (uintptr_t)lock, false) != 0;
}

bool ramet_malloc_mend(int *lock)
{
    uintptr_t arena = (uintptr_t)lock;
    struct state *state = ramet_is_on(RAMET_ARENAS) ? state_of(arena) : NULL;
    uintptr_t top = state == NULL ? 0 : go_through(state, arena, false);
    if (top == 0)
        return false;
    go_through(state, arena, true);
    empty(state, arena, top);
    unlock(lock);
    return true;
}

/* ---- what a thread keeps for itself (tcache_perthread_struct: counts, and as many lists, from 2.26 to 2.41) */

#define CACHE_LISTS 64
#define PROTECTED_SINCE_MINOR 32

/* In bytes, of each count: one until 2.29, then two; 0 for what is no cache. */
static size_t width_of_counts(uintptr_t block)
{
    uintptr_t lists = CACHE_LISTS * sizeof(uintptr_t);
    uintptr_t room = block % ALIGNMENT == 0 ? word_at(block - sizeof(uintptr_t)) & ~(uintptr_t)FLAGS : 0;
    for (size_t width = sizeof(uint8_t); width <= sizeof(uint16_t); width *= 2)
        if (room == ALIGNMENT + width * CACHE_LISTS + lists)
            return width;
    return 0;
}

bool ramet_malloc_is_cache(uintptr_t block)
{
    return width_of_counts(block) != 0;
}

/* A link is mixed with the place where it lies. */
static bool links_are_protected(void)
{
    char version[32] = "";
    confstr(_CS_GNU_LIBC_VERSION, version, sizeof version);
    const char *minor = strchr(version, '.');
    return minor != NULL && strtol(minor + 1, NULL, 10) >= PROTECTED_SINCE_MINOR;
}

static unsigned length_up_to(unsigned most, uintptr_t entry, bool protected)
{
    unsigned length = 0;
    for (; entry != 0 && length < most; length++)
        entry = *(uintptr_t *)entry ^ (protected ? entry >> 12 : 0);
    return length;
}

/* Its lists, by a width of counts that is known. */
static const uintptr_t *lists_of(uintptr_t cache)
{
    return (const uintptr_t *)(cache + CACHE_LISTS * width_of_counts(cache));
}

static unsigned count_of(uintptr_t cache, int list)
{
    return width_of_counts(cache) == sizeof(uint8_t) ? ((const uint8_t *)cache)[list] : ((const uint16_t *)cache)[list];
}

bool ramet_malloc_counts_are_right(uintptr_t cache, uintptr_t freed)
{
    const uintptr_t *lists = lists_of(cache);
    bool right = true, found = false;
    for (int i = 0; i < CACHE_LISTS; i++) {
        found |= lists[i] == freed;
        right = right && length_up_to(count_of(cache, i) + 1, lists[i], links_are_protected()) == count_of(cache, i);
    }
    return right && found;
}

void ramet_malloc_recount(uintptr_t cache)
{
    const bool protected = links_are_protected(), narrow = width_of_counts(cache) == sizeof(uint8_t);
    for (int i = 0; i < CACHE_LISTS; i++) {
        unsigned length = length_up_to(count_of(cache, i), lists_of(cache)[i], protected);
        if (narrow)
            ((uint8_t *)cache)[i] = (uint8_t)length;
        else
            ((uint16_t *)cache)[i] = (uint16_t)length;
    }
}
