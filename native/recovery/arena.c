/* Where a thread allocates, and how it comes to allocate elsewhere. */
#define _GNU_SOURCE
#include "libc_inside.h"

#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "child.h"
#include "futex.h"
#include "threads_at_rest.h"

/* ---- libc's thread-locals: where those of this thread lie, from its thread pointer on */

static ptrdiff_t locals_offset;
static size_t locals_size; /* 0: not known */
static size_t locals_module;

/* errno is one of them. */
static int find_locals(struct dl_phdr_info *info, size_t size, void *unused)
{
    const char *locals = info->dlpi_tls_data, *known = (const char *)&errno;
    (void)size, (void)unused;
    for (int i = 0; locals != NULL && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_TLS || known < locals || known >= locals + header->p_memsz)
            continue;
        locals_offset = locals - (const char *)ramet_thread_pointer();
        locals_size = header->p_memsz <= RAMET_LIBC_LOCALS ? header->p_memsz : 0;
        locals_module = info->dlpi_tls_modid;
        return 1;
    }
    return 0;
}

static void look_for_locals(void)
{
    dl_iterate_phdr(find_locals, NULL);
}

static char *locals_of_this_thread(void)
{
    return (char *)ramet_thread_pointer() + locals_offset;
}

void ramet_arena_note(struct ramet_arena *arena)
{
    static pthread_once_t looked = PTHREAD_ONCE_INIT;
    pthread_once(&looked, look_for_locals);
    *arena = (struct ramet_arena){.noted = locals_size != 0 && ramet_is_on(RAMET_ARENAS)};
    memcpy(arena->locals, locals_of_this_thread(), locals_size);
}

static void put_back_locals(const struct ramet_arena *arena)
{
    memcpy(locals_of_this_thread(), arena->locals, locals_size);
}

/* ---- the arena and its lock */

#define BEYOND_CACHES 4000
#define CACHED 100

/* Among what has come into libc's thread-locals with the first allocation. */
static uintptr_t find_cache(const struct ramet_arena *arena)
{
    const uintptr_t *now = (const uintptr_t *)locals_of_this_thread(), *before = (const uintptr_t *)arena->locals;
    for (size_t i = 0; i < locals_size / sizeof *now; i++)
        if (now[i] != before[i] && ramet_malloc_is_cache(now[i]))
            return now[i];
    return 0;
}

void ramet_arena_find(struct ramet_arena *arena)
{
    void *volatile block = arena->noted ? malloc(BEYOND_CACHES) : NULL; /* volatile: else it is optimized away */
    arena->cache = arena->noted ? find_cache(arena) : 0;
    arena->lock = block == NULL ? NULL : ramet_malloc_lock_over(block);
    free(block);
}

/* Others hold it for less than a microsecond, or until they get a processor again. */
#define PATIENCE_NANOSECONDS INT64_C(200000000)

#define MOST_GIVEN_UP 1024
#define LOCKED 2 /* and a thread may wait */

/* fork() takes the locks of all arenas, so that its child finds each in order. These are in none, and it shall not wait. */
static int *given_up[MOST_GIVEN_UP];
static int how_many;

static void set_all(int value)
{
    int count = __atomic_load_n(&how_many, __ATOMIC_ACQUIRE);
    for (int i = 0; i < count && i < MOST_GIVEN_UP; i++)
        if (given_up[i] != NULL)
            __atomic_store_n(given_up[i], value, __ATOMIC_RELEASE);
}

static void unlock_for_fork(void)
{
    set_all(0);
}

static void lock_again(void)
{
    set_all(LOCKED);
}

/*
 * In the child of a fork libc has made all locks anew, and gives these arenas to new threads, too. The one
 * thread that is there computes in none of them, so that what could not be mended for the others' sake now can
 * be. Then they are arenas like any other, and no later fork has to do with their locks.
 */
static void mend_in_copy(void)
{
    int count = how_many;
    for (int i = 0; i < count && i < MOST_GIVEN_UP; i++) {
        if (given_up[i] != NULL)
            ramet_malloc_mend(given_up[i]);
        given_up[i] = NULL;
    }
    how_many = 0;
}

static void note_for_fork(int *lock)
{
    int place = __atomic_fetch_add(&how_many, 1, __ATOMIC_ACQ_REL);
    if (place < MOST_GIVEN_UP)
        given_up[place] = lock;
}

bool ramet_arena_has_lost(const void *block)
{
    int count = __atomic_load_n(&how_many, __ATOMIC_ACQUIRE);
    const int *lock = count == 0 ? NULL : ramet_malloc_lock_over(block);
    for (int i = 0; lock != NULL && i < count && i < MOST_GIVEN_UP; i++)
        if (given_up[i] == lock)
            return true;
    return false;
}

/*
 * malloc makes no more than so many, and then has threads share them, the main one too. It asks once
 * for the number: so it is told of as many more as are likely ever to be given up. In vain where it
 * has asked already, as it does when it makes the ninth.
 */
static void make_room(void)
{
#ifdef M_ARENA_MAX /* musl's malloc has no arenas */
    mallopt(M_ARENA_MAX, 8 * get_nprocs() + 2 * MOST_GIVEN_UP); /* one more for each recovery */
#endif
    pthread_atfork(unlock_for_fork, lock_again, mend_in_copy);
}

/* ---- libraries' thread-locals, which a thread allocates when it first uses them */

#ifdef __GLIBC__

/* An entry of the vector (glibc's sysdeps/generic/dl-dtv.h, since 2.25). The one before the first tells how many follow it. */
struct entry {
    uintptr_t data; /* or their number */
    void *to_free;
};

/*
 * libc frees these when it gives the stack of a thread that has ended to the next one: so a thread that starts
 * another would wait for the lock of the arena that they lie in.
 */
static void keep_blocks_under(const int *lock)
{
    struct entry *entries = ramet_thread_vector();
    for (uintptr_t i = 1, count = entries[-1].data; i <= count; i++)
        if (entries[i].to_free != NULL && ramet_malloc_lock_over(entries[i].to_free) == lock)
            entries[i].to_free = NULL;
}

static bool knows_vector(void)
{
    const struct entry *entries = ramet_thread_vector();
    return entries[-1].data >= locals_module && entries[locals_module].data == (uintptr_t)locals_of_this_thread();
}

#else

static bool knows_vector(void)
{
    return false;
}

/* musl has them made by the thread that starts this one. */
static void keep_blocks_under(const int *lock)
{
    (void)lock;
}

#endif

bool ramet_arena_is_known(const struct ramet_arena *arena)
{
    void *volatile small = malloc(CACHED);
    uintptr_t freed = (uintptr_t)small;
    free(small);
    bool knows_cache = arena->cache == 0 || ramet_malloc_counts_are_right(arena->cache, freed);
    void *volatile block = malloc(BEYOND_CACHES);
    bool is_in_order = block != NULL && ramet_malloc_is_in_order(arena->lock, block, BEYOND_CACHES);
    free(block);
    return knows_cache && is_in_order && knows_vector();
}

/* ---- after a death */

void ramet_arena_recover(struct ramet_arena *arena)
{
    static pthread_once_t made_room = PTHREAD_ONCE_INIT;
    if (arena->cache != 0)
        ramet_malloc_recount(arena->cache);
    if (arena->lock == NULL || ramet_malloc_lock_is_had(arena->lock, ramet_now() + PATIENCE_NANOSECONDS))
        return;
    if (ramet_each_thread_at_rest(PATIENCE_NANOSECONDS) && ramet_malloc_mend(arena->lock)) /* a thread that holds it does not rest */
        return;
    keep_blocks_under(arena->lock);
    put_back_locals(arena);
    arena->cache = 0;
    arena->given_up = true;
    note_for_fork(arena->lock);
    pthread_once(&made_room, make_room);
}

void ramet_arena_leave(const struct ramet_arena *arena)
{
    if (arena->given_up)
        put_back_locals(arena);
}
