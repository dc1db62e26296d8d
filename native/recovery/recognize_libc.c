/* Whether glibc's structures are laid out as this folder has them; and so which parts of the recovery work. */
#define _GNU_SOURCE
#include "libc_inside.h"

#include "futex.h"
#include "proc_file.h"
#include "task_state.h"

#define NEAR_WORDS 256 /* from the stack pointer of a thread that waits up to the wait's own frame */
#define PATIENCE_NANOSECONDS INT64_C(1000000000)
#define PAUSE_NANOSECONDS 20000

static const char not_yet[] = "no function in shared memory was started";
static const char *reasons[RAMET_LIBC_PARTS] = {not_yet, not_yet, not_yet, not_yet};

const char *ramet_why_off(enum ramet_libc_part part)
{
    return reasons[part];
}

bool ramet_is_on(enum ramet_libc_part part)
{
    return reasons[part] == NULL;
}

/* What a thread shows that waits on a condition variable. */
struct sample {
    pthread_mutex_t mutex;
    pthread_cond_t condvar;
    long number; /* by which /proc has it; 0: none */
    bool has_arena, knows_arena, waits, leave;
};

static void *wait_in_thread(void *context)
{
    struct sample *sample = context;
    struct ramet_arena arena;
    ramet_arena_note(&arena);
    ramet_arena_find(&arena);
    sample->has_arena = arena.lock != NULL;
    sample->knows_arena = sample->has_arena && ramet_arena_is_known(&arena);
    sample->number = ramet_proc_own_number();
    pthread_mutex_lock(&sample->mutex);
    sample->waits = true;
    while (!sample->leave)
        pthread_cond_wait(&sample->condvar, &sample->mutex);
    pthread_mutex_unlock(&sample->mutex);
    return NULL;
}

static bool waits(struct sample *sample)
{
    pthread_mutex_lock(&sample->mutex);
    bool is_so = sample->waits;
    pthread_mutex_unlock(&sample->mutex);
    return is_so;
}

static struct ramet_syscall_state state_of_waiter(struct sample *sample)
{
    const int64_t deadline = ramet_now() + PATIENCE_NANOSECONDS;
    struct ramet_syscall_state state = {.call = -1};
    while (!ramet_waits_in_futex(&state) && ramet_now() < deadline) {
        ramet_pause(PAUSE_NANOSECONDS);
        if (!waits(sample))
            continue;
        if (sample->number == 0) /* it will not be seen there, however long this waits */
            break;
        state = ramet_task_syscall(sample->number);
    }
    return state;
}

static bool is_seen_to_wait(struct sample *sample)
{
    void *words[NEAR_WORDS];
    const struct ramet_syscall_state state = state_of_waiter(sample);
    if (!ramet_waits_in_futex(&state))
        return false;
    size_t count = ramet_read_memory(words, state.stack_pointer, sizeof words) / sizeof *words;
    return ramet_condvar_of(words, count, (const int *)state.first) == &sample->condvar;
}

static void let_leave(struct sample *sample, pthread_t thread)
{
    pthread_mutex_lock(&sample->mutex);
    sample->leave = true;
    pthread_cond_broadcast(&sample->condvar);
    pthread_mutex_unlock(&sample->mutex);
    pthread_join(thread, NULL);
}

static void set_unless(bool known, enum ramet_libc_part part, const char *why_off)
{
    if (!known)
        reasons[part] = why_off;
}

static void look_at(struct sample *sample, pthread_t thread)
{
    set_unless(is_seen_to_wait(sample), RAMET_CONDVARS, "a thread that waits on a condition variable is not found there");
    set_unless(ramet_thread_is_listed((uintptr_t)thread, (uintptr_t)wait_in_thread), RAMET_THREAD_LIST,
               "a thread is not found in libc's list of threads");
    set_unless(sample->has_arena, RAMET_ARENAS, "a new thread has no arena of its own in malloc");
    set_unless(!sample->has_arena || sample->knows_arena, RAMET_ARENAS, "the arena of a new thread is not as glibc has them");
}

static void set_all(const char *why_off)
{
    for (enum ramet_libc_part part = 0; part < RAMET_LIBC_PARTS; part++)
        reasons[part] = why_off;
}

#ifdef __GLIBC__

/* No signal comes to it. Without one nothing can be compared. */
static bool start(struct sample *sample, pthread_t *thread)
{
    const ramet_sigset mask = ramet_block_signals();
    int error = pthread_create(thread, NULL, wait_in_thread, sample);
    ramet_set_signal_mask(mask);
    return error == 0;
}

static void look(void)
{
    struct sample sample = {.mutex = PTHREAD_MUTEX_INITIALIZER, .condvar = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    set_all(NULL);
    set_unless(ramet_mutex_is_known(&sample.mutex, (int)ramet_syscall0(__NR_gettid)), RAMET_MUTEXES,
               "a mutex does not name its owner");
    bool knows_condvars = ramet_condvar_find_layout();
    if (!start(&sample, &thread)) {
        set_all("no thread could be made to look at");
        return;
    }
    look_at(&sample, thread);
    set_unless(knows_condvars, RAMET_CONDVARS, "a new condition variable is not as glibc has them");
    let_leave(&sample, thread);
}

#else

static void look(void)
{
    (void)look_at, (void)let_leave;
    set_all("this libc is no glibc");
}

#endif

void ramet_recognize_libc(const char *why_off)
{
    if (why_off != NULL)
        set_all(why_off);
    else
        look();
}
