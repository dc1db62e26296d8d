/* What libc has for a thread is found: its words for the tid and the end, its stack, its robust list. */
#include <pthread.h>
#include <sys/prctl.h>

#include "check.h"
#include "futex_word.h"
#include "libc_thread.h"

static const int *main_word;
static int ready;

/* The kernel's word for each thread of musl's is a lock of libc's and no tid: there is none then. */
static void check_words(void)
{
    const int *word = ramet_cleartid_word();
#ifdef __GLIBC__
    CHECK(word != NULL && *word != 0);
    CHECK(ramet_tid_word() != NULL && *ramet_tid_word() == gettid());
#else
    CHECK(word == NULL && ramet_tid_word() == NULL);
#endif
}

/* Ends as a task alone: its libc has it for living. */
static void *end_as_a_task(void *unused)
{
    CHECK(ramet_main_cleartid_word() == main_word);
    check_words();
    uintptr_t lowest, highest, here = (uintptr_t)__builtin_frame_address(0);
    CHECK(ramet_stack_bounds(&lowest, &highest) && lowest < here && here < highest);
    CHECK((uintptr_t)ramet_cleartid_word() == ramet_cleartid_word_of((uintptr_t)pthread_self()));
    ramet_futex_set(&ready, 1);
    ramet_futex_await_change(&ready, 1);
#ifdef __GLIBC__ /* who joins a thread of musl's waits for what the thread itself writes */
    ramet_syscall1(__NR_exit, 0);
#endif
    return unused;
}

/* musl makes a thread's list when the thread locks its first robust and shared mutex. */
static void check_robust_list(void)
{
    pthread_mutex_t mutex;
    pthread_mutexattr_t robust;
    size_t length = 0;
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&mutex, &robust);
    CHECK(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
    void *head = ramet_robust_list(&length);
    CHECK(head != NULL && *(void **)head == head && length > 0);
    ramet_robust_list_reset(head, length);
    CHECK(ramet_robust_list(&length) == head);
}

#ifdef __GLIBC__ /* musl's header has it */
void _pthread_cleanup_push(void *buffer, void (*routine)(void *), void *arg);
#endif

static int called;

static void call(void *arg)
{
    called += *(int *)arg;
}

/* What a task leaves that dies within a wait of libc's: its own are not called when the thread ends. */
static void *end_after_one_that_died(void *unused)
{
    int one = 1, hundred = 100;
    struct ramet_cleanups kept, ours, dead;
    _pthread_cleanup_push((void *)&ours, call, &one);
    ramet_cleanups_keep(&kept);
    _pthread_cleanup_push((void *)&dead, call, &hundred);
    ramet_cleanups_put_back(&kept);
    pthread_exit(unused);
}

static void check_cleanups(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, end_after_one_that_died, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(called == 1);
}

int main(void)
{
    pthread_t thread;
    void *word = NULL;
    if (ramet_syscall2(__NR_prctl, PR_GET_TID_ADDRESS, &word) < 0)
        SKIP("the kernel does not show the word (CONFIG_CHECKPOINT_RESTORE)");
    main_word = ramet_cleartid_word();
    CHECK(ramet_main_cleartid_word() == main_word);
    check_words();
    CHECK(pthread_create(&thread, NULL, end_as_a_task, NULL) == 0);
    ramet_futex_await_change(&ready, 0);
    CHECK(!ramet_thread_has_ended((uintptr_t)thread));
    ramet_futex_set(&ready, 2);
    pthread_join(thread, NULL); /* it waits for the word */
    check_robust_list();
    check_cleanups();
    long rseq = ramet_rseq_unregister();
    CHECK(rseq == 0 || ramet_rseq_unregister() == 0);
    ramet_rseq_register(rseq);
    CHECK(ramet_rseq_unregister() == rseq);
    ramet_rseq_register(rseq);
    return passed();
}
