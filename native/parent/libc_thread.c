/* What libc has for a thread: its stack, and what it has registered with the kernel. */
#define _GNU_SOURCE
#include "libc_thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "child.h"

/* The word that the kernel clears when the calling thread ends. Needs CONFIG_CHECKPOINT_RESTORE. */
static int *cleared_word(void)
{
    int *word = NULL;
    return ramet_syscall2(__NR_prctl, PR_GET_TID_ADDRESS, &word) < 0 ? NULL : word;
}

/* glibc has a description of its tid field for debuggers: bits of the number, count, offset. */
static const uint32_t *place_for_debuggers;

static int *word_for_debuggers(void)
{
    const uint32_t *place = place_for_debuggers;
    return place == NULL || place[0] != 32 ? NULL : (int *)((char *)pthread_self() + place[2]);
}

static bool holds_tid(const int *word)
{
    return word != NULL && *word == (int)ramet_syscall0(__NR_gettid);
}

/* The kernel's word and libc's are one until glibc 2.42. musl gives the kernel one word for all threads: its list's lock. */
int *ramet_tid_word(void)
{
    int *word = cleared_word();
    if (!holds_tid(word))
        word = word_for_debuggers();
    return holds_tid(word) ? word : NULL;
}

/* Since glibc 2.43 it is another word than libc's. musl's is a lock, and mostly 0. */
const int *ramet_cleartid_word(void)
{
    const int *word = cleared_word();
    bool of_glibc = word != NULL && *word != 0 && word_for_debuggers() != NULL;
    return of_glibc || holds_tid(word) ? word : NULL;
}

/* As the main thread read it itself: at the start, and after a fork. */
static struct {
    long process;
    const int *cleartid_word;
} seen_main_thread;

static bool is_main_thread(void)
{
    return ramet_syscall0(__NR_gettid) == ramet_syscall0(__NR_getpid);
}

static void note_main_thread(void)
{
    if (!is_main_thread())
        return;
    seen_main_thread.cleartid_word = ramet_cleartid_word();
    seen_main_thread.process = ramet_syscall0(__NR_getpid);
}

static void __attribute__((constructor)) note_main_threads(void)
{
    place_for_debuggers = dlsym(RTLD_DEFAULT, "_thread_db_pthread_tid"); /* once: in a fork it costs some pages */
    note_main_thread();
    pthread_atfork(NULL, NULL, note_main_thread);
}

const int *ramet_main_cleartid_word(void)
{
    if (is_main_thread())
        return ramet_cleartid_word();
    return seen_main_thread.process == ramet_syscall0(__NR_getpid) ? seen_main_thread.cleartid_word : NULL;
}

/*
 * It lies at the same offset in libc's structure of each thread that libc has made. The thread of a fork has
 * another one, since glibc 2.43.
 */
static struct {
    bool known;
    ptrdiff_t offset;
} cleartid_word;

/* A seccomp filter may answer the prctl by SIGSYS, which ends the process where it is blocked: so it is unblocked. */
static void *measure(void *unused)
{
    const ramet_sigset let_in = UINT64_C(1) << (SIGSYS - 1);
    ramet_syscall4(__NR_rt_sigprocmask, SIG_UNBLOCK, &let_in, NULL, sizeof let_in);
    const int *mine = ramet_cleartid_word();
    cleartid_word.known = mine != NULL;
    cleartid_word.offset = mine == NULL ? 0 : (const char *)mine - (const char *)pthread_self();
    return unused;
}

static void measure_once(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, measure, NULL) == 0)
        pthread_join(thread, NULL);
}

uintptr_t ramet_cleartid_word_of(uintptr_t thread)
{
    static pthread_once_t measured = PTHREAD_ONCE_INIT;
    pthread_once(&measured, measure_once);
    return cleartid_word.known ? thread + (uintptr_t)cleartid_word.offset : 0;
}

bool ramet_thread_has_ended(uintptr_t thread)
{
    const int *word = (const int *)ramet_cleartid_word_of(thread);
    return word != NULL && __atomic_load_n(word, __ATOMIC_ACQUIRE) == 0;
}

bool ramet_stack_bounds(uintptr_t *lowest, uintptr_t *highest)
{
    pthread_attr_t attr;
    void *base;
    size_t size, guard;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return false;
    bool known = pthread_attr_getstack(&attr, &base, &size) == 0 && pthread_attr_getguardsize(&attr, &guard) == 0;
    if (known) {
        *lowest = (uintptr_t)base + guard;
        *highest = (uintptr_t)base + size;
    }
    pthread_attr_destroy(&attr);
    return known;
}

void *ramet_robust_list(size_t *length)
{
    void *head = NULL;
    if (ramet_syscall3(__NR_get_robust_list, 0, &head, length) < 0)
        return NULL;
    return head;
}

void ramet_robust_list_reset(void *head, size_t length)
{
    if (head == NULL)
        return;
    *(void **)head = head; /* struct robust_list_head begins with the link, which points to itself in an empty list */
    ramet_syscall2(__NR_set_robust_list, head, length);
}

#if defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAVE_RSEQ 1
#endif
#endif

#ifdef HAVE_RSEQ

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif

#define FIRST_LENGTH 32

/* libc's own, since glibc 2.35; weak, so that an older one will do. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

static void *rseq_area(void)
{
    if (&__rseq_size == NULL || &__rseq_offset == NULL || __rseq_size == 0)
        return NULL;
    return (char *)ramet_thread_pointer() + __rseq_offset;
}

static long rseq(void *area, long length, int flags)
{
    return ramet_syscall4(__NR_rseq, area, length, flags, RSEQ_SIG);
}

/* The length must be the one that libc registered, which is one of two and cannot be read. */
long ramet_rseq_unregister(void)
{
    void *area = rseq_area();
    if (area == NULL)
        return 0;
    long features = (long)((getauxval(AT_RSEQ_FEATURE_SIZE) + FIRST_LENGTH - 1) / FIRST_LENGTH * FIRST_LENGTH);
    if (rseq(area, FIRST_LENGTH, RSEQ_FLAG_UNREGISTER) == 0)
        return FIRST_LENGTH;
    return rseq(area, features, RSEQ_FLAG_UNREGISTER) == 0 ? features : 0;
}

void ramet_rseq_register(long length)
{
    if (length != 0)
        rseq(rseq_area(), length, 0);
}

#else

long ramet_rseq_unregister(void)
{
    return 0;
}

void ramet_rseq_register(long length)
{
    (void)length;
}

#endif

/* Of libc's binary interface; only musl's header declares them. */
#ifdef __GLIBC__
typedef struct _pthread_cleanup_buffer cleanup_buffer;
void _pthread_cleanup_push(cleanup_buffer *buffer, void (*routine)(void *), void *arg);
void _pthread_cleanup_pop(cleanup_buffer *buffer, int execute);
#else
typedef struct __ptcb cleanup_buffer;
#endif
_Static_assert(sizeof(cleanup_buffer) <= sizeof(struct ramet_cleanups), "libc's buffer has no room");

static void nothing(void *arg)
{
    (void)arg;
}

void ramet_cleanups_keep(struct ramet_cleanups *kept)
{
    _pthread_cleanup_push((cleanup_buffer *)kept->room, nothing, NULL);
}

/* The buffer has the one that was the newest before it. */
void ramet_cleanups_put_back(struct ramet_cleanups *kept)
{
    _pthread_cleanup_pop((cleanup_buffer *)kept->room, 0);
}
