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

struct list {
    uintptr_t head;
    uint32_t place; /* of its link in what libc keeps of a thread */
};

static size_t copy(void *to, uintptr_t from, size_t size)
{
    struct iovec here = {to, size}, there = {(void *)from, size};
    long pid = ramet_syscall0(__NR_getpid);
    long length = ramet_syscall6(__NR_process_vm_readv, pid, (long)&here, 1, (long)&there, 1, 0);
    return length < 0 ? 0 : (size_t)length;
}

static bool find_list(struct list *list)
{
    const char *globals = dlsym(RTLD_DEFAULT, "_rtld_global");
    const struct field *used = dlsym(RTLD_DEFAULT, "_thread_db_rtld_global__dl_stack_used");
    const struct field *link = dlsym(RTLD_DEFAULT, "_thread_db_pthread_list");
    if (globals == NULL || used == NULL || link == NULL)
        return false;
    *list = (struct list){(uintptr_t)globals + used->offset, link->offset};
    return true;
}

static bool has_ended(uintptr_t thread)
{
    int word = 0;
    uintptr_t place = ramet_end_word_of(thread);
    return place != 0 && copy(&word, place, sizeof word) == sizeof word && word == 0;
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
    struct list list;
    uintptr_t link;
    if (!find_list(&list) || copy(&link, list.head, sizeof link) < sizeof link)
        return;
    for (int i = 0; i < MOST_THREADS && link != list.head; i++) {
        uintptr_t thread = link - list.place;
        if (has_ended(thread))
            look_through_stack(thread);
        if (copy(&link, link, sizeof link) < sizeof link)
            return;
    }
}
