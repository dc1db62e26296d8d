/*
 * Other threads come and go meanwhile, with their entries in the list. So whatever is read is read by the kernel,
 * which says so where there is nothing, and nothing is written but by condvar.c.
 */
#define _GNU_SOURCE
#include "libc_inside.h"

#include <dlfcn.h>

#include "libc_thread.h"

#define TRIES 100 /* to come through the list while threads end */
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
    return from != 0 && ramet_read_memory(to, from, size) == size;
}

/* It has ended as a task, and not by itself. */
static bool is_lost(uintptr_t thread, const struct places *places)
{
    int word;
    unsigned ending;
    return read_word(ramet_cleartid_word_of(thread), &word, sizeof word) && word == 0 &&
           read_word(thread + places->ending, &ending, sizeof ending) && (ending & IS_ENDING) == 0;
}

/* From above what is copied at a time: a wait may lie across its end. */
static void look_through_stack(uintptr_t thread)
{
    void *words[PIECE_WORDS + RAMET_CONDVAR_WINDOW_WORDS];
    for (uintptr_t piece = 1; piece <= PIECES; piece++) {
        uintptr_t begin = (thread & ~(sizeof *words - 1)) - piece * PIECE_WORDS * sizeof *words;
        size_t size = piece == 1 ? PIECE_WORDS * sizeof *words : sizeof words;
        if (ramet_read_memory(words, begin, size) < size)
            return;
        ramet_condvar_forget_dead(words, size / sizeof *words);
    }
}

/* For each thread; the answers are added up. */
typedef long visitor(uintptr_t thread, const struct places *places, void *context);

/*
 * What the visitor's answers add up to; -1 when the search has strayed: a thread that ends takes its link into another list
 * of libc's, which has no end for a search for this one's. So it is looked whether a link is met again.
 */
static long visit_once(uintptr_t head, const struct places *places, visitor *visit, void *context)
{
    uintptr_t link = head, met = 0;
    long sum = 0;
    for (unsigned steps = 1, next_met = 1; read_word(link, &link, sizeof link) && link != met; steps++) {
        if (link == head)
            return sum;
        sum += visit(link - places->link, places, context);
        if (steps == next_met) {
            met = link;
            next_met *= 2;
        }
    }
    return -1;
}

static long visit_all(visitor *visit, void *context)
{
    struct places places;
    uintptr_t head = ramet_is_on(RAMET_THREAD_LIST) ? find_list(&places) : 0;
    long sum = -1;
    for (int try = 0; head != 0 && sum < 0 && try < TRIES; try++)
        sum = visit_once(head, &places, visit, context);
    return sum < 0 ? 0 : sum;
}

struct wanted {
    bool (*counts)(uintptr_t function);
};

static long count(uintptr_t thread, const struct places *places, void *context)
{
    const struct wanted *wanted = context;
    uintptr_t function;
    return is_lost(thread, places) && read_word(thread + places->function, &function, sizeof function) &&
           wanted->counts(function);
}

long ramet_count_lost_threads(bool (*counts)(uintptr_t function))
{
    struct wanted wanted = {counts};
    return visit_all(count, &wanted);
}

static long forget(uintptr_t thread, const struct places *places, void *context)
{
    (void)context;
    if (is_lost(thread, places))
        look_through_stack(thread);
    return 0;
}

void ramet_forget_lost_threads(void)
{
    visit_all(forget, NULL);
}

struct listed {
    uintptr_t thread, function;
};

static long is_listed(uintptr_t thread, const struct places *places, void *context)
{
    const struct listed *listed = context;
    uintptr_t function;
    unsigned ending;
    int word;
    return thread == listed->thread && read_word(thread + places->function, &function, sizeof function) &&
           function == listed->function && read_word(ramet_cleartid_word_of(thread), &word, sizeof word) && word != 0 &&
           read_word(thread + places->ending, &ending, sizeof ending) && (ending & IS_ENDING) == 0;
}

bool ramet_thread_is_listed(uintptr_t thread, uintptr_t function)
{
    struct listed listed = {thread, function};
    return visit_all(is_listed, &listed) == 1;
}
