/* libc's per-thread registrations with the kernel. */
#define _GNU_SOURCE
#include "libc_thread.h"

#include <errno.h>
#include <linux/prctl.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "child.h"

int *ramet_tid_word(void)
{
    int *word = NULL;
    /* Needs CONFIG_CHECKPOINT_RESTORE. musl's main thread has registered another word: hence the look. */
    if (ramet_syscall2(__NR_prctl, PR_GET_TID_ADDRESS, &word) < 0 || word == NULL)
        return NULL;
    return *word == (int)ramet_syscall0(__NR_gettid) ? word : NULL;
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
    *(void **)head = head; /* struct robust_list_head begins with the link that closes the ring */
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

/* The length must be the one that libc registered, which it tells nobody: one of two. */
long ramet_rseq_leave(void)
{
    void *area = rseq_area();
    if (area == NULL)
        return 0;
    long features = (long)((getauxval(AT_RSEQ_FEATURE_SIZE) + FIRST_LENGTH - 1) / FIRST_LENGTH * FIRST_LENGTH);
    if (rseq(area, FIRST_LENGTH, RSEQ_FLAG_UNREGISTER) == 0)
        return FIRST_LENGTH;
    return rseq(area, features, RSEQ_FLAG_UNREGISTER) == 0 ? features : 0;
}

void ramet_rseq_enter(long length)
{
    if (length != 0)
        rseq(rseq_area(), length, 0);
}

#else

long ramet_rseq_leave(void)
{
    return 0;
}

void ramet_rseq_enter(long length)
{
    (void)length;
}

#endif
