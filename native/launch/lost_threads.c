/*
 * Other threads come and go meanwhile, with their entries in the list. So whatever is read is read by the kernel,
 * which says so where there is nothing, and nothing is written but by condvar.c.
 */
#define _GNU_SOURCE
#include "lost_threads.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "child.h"
#include "condvar.h"
#include "libc_thread.h"

#define MOST_THREADS 100000
#define PIECE_WORDS 1024
#define PIECES 8 /* as much of a stack as is looked through, from its top */

/* How glibc describes a field to debuggers. */
struct field {
    uint32_t bits, count, offset;
};

/* Where it is in what libc keeps of a thread. */
struct places {
    uint32_t link, function, ending;
};

#define IS_ENDING 0x10U /* it has come to the end of its function, or to pthread_exit() */

static size_t copy(void *to, uintptr_t from, size_t size)
{
    struct iovec here = {to, size}, there = {(void *)from, size};
    long pid = ramet_syscall0(__NR_getpid);
    long length = ramet_syscall6(__NR_process_vm_readv, pid, (long)&here, 1, (long)&there, 1, 0);
    return length < 0 ? 0 : (size_t)length;
}

static bool find(const char *name, uint32_t *offset)
{
    const struct field *field = dlsym(RTLD_DEFAULT, name);
    if (field != NULL)
        *offset = field->offset;
    return field != NULL;
}

/* The head of the list; 0 where there is none. */
static uintptr_t find_list(struct places *places)
{
    const char *globals = dlsym(RTLD_DEFAULT, "_rtld_global");
    uint32_t head;
    bool found = globals != NULL && find("_thread_db_rtld_global__dl_stack_used", &head) &&
                 find("_thread_db_pthread_list", &places->link) &&
                 find("_thread_db_pthread_start_routine", &places->function) &&
                 find("_thread_db_pthread_cancelhandling", &places->ending);
    return found ? (uintptr_t)globals + head : 0;
}

static bool read_word(uintptr_t from, void *to, size_t size)
{
    return from != 0 && copy(to, from, size) == size;
}

/* It has ended as a task, and not by itself. */
static bool is_lost(uintptr_t thread, const struct places *places)
{
    int word;
    unsigned ending;
    return read_word(ramet_end_word_of(thread), &word, sizeof word) && word == 0 &&
           read_word(thread + places->ending, &ending, sizeof ending) && (ending & IS_ENDING) == 0;
}

/* The next of them; 0 when there is none. link: where the search stands in the list, and goes on. */
static uintptr_t next_lost(uintptr_t head, const struct places *places, uintptr_t *link)
{
    while (read_word(*link, link, sizeof *link) && *link != head)
        if (is_lost(*link - places->link, places))
            return *link - places->link;
    return 0;
}

long ramet_count_lost_threads(bool (*counts)(uintptr_t function))
{
    struct places places;
    uintptr_t head = find_list(&places), link = head, thread, function;
    long count = 0;
    for (int i = 0; i < MOST_THREADS && (thread = next_lost(head, &places, &link)) != 0; i++)
        count += read_word(thread + places.function, &function, sizeof function) && counts(function);
    return count;
}

/* From above what is copied at a time: a wait may lie across its end. */
static void look_through_stack(uintptr_t thread)
{
    void *words[PIECE_WORDS + RAMET_CONDVAR_WINDOW_WORDS];
    for (uintptr_t piece = 1; piece <= PIECES; piece++) {
        uintptr_t begin = (thread & ~(sizeof *words - 1)) - piece * PIECE_WORDS * sizeof *words;
        size_t size = piece == 1 ? PIECE_WORDS * sizeof *words : sizeof words;
        if (copy(words, begin, size) < size)
            return;
        ramet_condvar_forget_dead(words, size / sizeof *words);
    }
}

void ramet_forget_lost_threads(void)
{
    struct places places;
    uintptr_t head = find_list(&places), link = head, thread;
    for (int i = 0; i < MOST_THREADS && (thread = next_lost(head, &places, &link)) != 0; i++)
        look_through_stack(thread);
}
