/* What libc has for a thread is found: its words for the tid and the end, its stack, its robust list. */
#include <pthread.h>

#include "check.h"
#include "futex_word.h"
#include "libc_thread.h"

static const int *main_word;
static int ready;

/* Ends as a task alone: its libc has it for living. */
static void *end_as_a_task(void *unused)
{
    CHECK(ramet_main_cleartid_word() == main_word);
    uintptr_t lowest, highest, here = (uintptr_t)__builtin_frame_address(0);
    CHECK(ramet_stack_bounds(&lowest, &highest) && lowest < here && here < highest);
    CHECK((uintptr_t)ramet_cleartid_word() == ramet_cleartid_word_of((uintptr_t)pthread_self()));
    ramet_futex_set(&ready, 1);
    ramet_futex_await_change(&ready, 1);
    ramet_syscall1(__NR_exit, 0);
    return unused;
}

int main(void)
{
    pthread_t thread;
    size_t length = 0;
    main_word = ramet_cleartid_word();
    if (main_word == NULL)
        SKIP("the kernel does not show the word (CONFIG_CHECKPOINT_RESTORE)");
    CHECK(*main_word != 0 && ramet_main_cleartid_word() == main_word);
    CHECK(ramet_tid_word() != NULL && *ramet_tid_word() == gettid());
    CHECK(pthread_create(&thread, NULL, end_as_a_task, NULL) == 0);
    ramet_futex_await_change(&ready, 0);
    CHECK(!ramet_thread_has_ended((uintptr_t)thread));
    ramet_futex_set(&ready, 2);
    pthread_join(thread, NULL); /* it waits for the word */
    void *head = ramet_robust_list(&length);
    CHECK(head != NULL && *(void **)head == head && length > 0);
    ramet_robust_list_reset(head, length);
    CHECK(ramet_robust_list(&length) == head);
    long rseq = ramet_rseq_unregister();
    CHECK(rseq == 0 || ramet_rseq_unregister() == 0);
    ramet_rseq_register(rseq);
    CHECK(ramet_rseq_unregister() == rseq);
    ramet_rseq_register(rseq);
    return passed();
}
