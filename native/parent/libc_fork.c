/*
 * Syscall User Dispatch hands each system call that libc makes to a handler of ours, which makes it in
 * its stead; when the clone comes, it makes the child that is wanted, or says EAGAIN.
 *
 *  1. A call that is handed over while SIGSYS is blocked ends the process, and libc blocks all signals around
 *     the clone call. So SIGSYS is in no mask; libc is told that it is where it believes so.
 *  2. A signal that comes in between runs a handler whose calls are handed over as well, and which may
 *     have SIGSYS blocked. So all others wait for the clone call, but for those that come of a fault and those
 *     of libc itself, for which another thread waits (setuid).
 *  3. The handler is in the table of the process, and its caller may have one for SIGSYS: that is called for
 *     whatever is not ours, and is back before the child is born.
 *  4. Once the child is born, or refused, no call is handed over any more, on neither side.
 */
#define _GNU_SOURCE
#include "libc_fork.h"

#include <dispatch.h>
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "epoch.h"
#include "futex.h"
#include "threads_at_rest.h"

/* Of a fork that was only made for its handlers. */
static void dispose(pid_t pid)
{
    if (pid == 0)
        ramet_syscall1(__NR_exit_group, 0);
    while (pid > 0 && ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED, NULL) == -EINTR)
        ;
}

/* Held by who waits and by who is waited for. */
struct errand {
    int done;
    int holders;
    int64_t patience;
};

enum { DONE = 1, LEFT_UNDONE };

static void release(struct errand *errand)
{
    if (__atomic_sub_fetch(&errand->holders, 1, __ATOMIC_ACQ_REL) == 0)
        free(errand);
}

static void *run_errand(void *context)
{
    struct errand *errand = context;
    bool rest = ramet_all_threads_at_rest(errand->patience);
    if (rest)
        ramet_run_fork_handlers();
    __atomic_store_n(&errand->done, rest ? DONE : LEFT_UNDONE, __ATOMIC_RELEASE);
    ramet_futex_wake(&errand->done);
    release(errand);
    return NULL;
}

bool ramet_run_fork_handlers_within(int64_t nanoseconds)
{
    struct errand *errand = calloc(1, sizeof *errand);
    pthread_t thread;
    if (errand == NULL)
        return false;
    errand->holders = 2;
    errand->patience = nanoseconds / 2;
    if (pthread_create(&thread, NULL, run_errand, errand) != 0) {
        free(errand);
        return false;
    }
    pthread_detach(thread);
    int64_t until = ramet_now() + nanoseconds;
    while (__atomic_load_n(&errand->done, __ATOMIC_ACQUIRE) == 0 && ramet_now() < until)
        ramet_futex_wait_while(&errand->done, 0, until - ramet_now());
    bool done = __atomic_load_n(&errand->done, __ATOMIC_ACQUIRE) == DONE;
    release(errand);
    return done;
}

#if RAMET_HAS_DISPATCH

#include <sys/prctl.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

#define OFF 0
#define ON 1
#define SIGNALLED_CODE 2 /* SYS_USER_DISPATCH, asm-generic/siginfo.h */

enum selector { LET_THROUGH, HAND_OVER }; /* SYSCALL_DISPATCH_FILTER_*, linux/prctl.h */

#define BIT(signal) (UINT64_C(1) << ((signal) - 1))
#define OF_FAULTS (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP))
#ifdef __GLIBC__
#define OF_LIBC (BIT(32) | BIT(33)) /* their handlers block nothing */
#else
#define OF_LIBC 0
#endif
#define HELD (~(OF_FAULTS | OF_LIBC | BIT(SIGSYS)))

/* One for all that use this memory, one at a time. */
struct section {
    int owner; /* a tid, 0 for nobody */
    void *thread;
    volatile char selector; /* the kernel reads it at every call */
    struct ramet_signal_action before;
    struct passage *passage;
};

/* One time through libc's fork. */
struct passage {
    const struct ramet_request *request; /* NULL: nothing is to be born */
    const struct ramet_entry *entry;
    ramet_sigset mask; /* of the caller, as libc knows it */
    bool late;         /* SIGSYS was sent to a caller that has it blocked */
    siginfo_t told;    /* ...with this */
    bool over;         /* no call is handed over any more */
    bool reached;      /* the clone call */
    ucontext_t *context; /* where libc makes it */
    int *tid_word; /* libc's, which the child fills in itself; else NULL */
    long pid;
};

static struct section *section;

static void __attribute__((constructor)) make_section(void)
{
    section = ramet_wiped_on_fork(sizeof *section);
}

static bool is_gone(int tid)
{
    return ramet_syscall2(__NR_tkill, tid, 0) == -ESRCH;
}

/* Who died within has left it taken. */
static bool enter(void)
{
    int tid = (int)ramet_syscall0(__NR_gettid), owner = 0;
    if (section == NULL)
        return false;
    if (!__atomic_compare_exchange_n(&section->owner, &owner, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED) &&
        !(owner != tid && is_gone(owner) &&
          __atomic_compare_exchange_n(&section->owner, &owner, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        return false;
    section->thread = ramet_thread_pointer();
    section->selector = LET_THROUGH;
    return true;
}

static void leave(void)
{
    section->thread = NULL;
    __atomic_store_n(&section->owner, 0, __ATOMIC_RELEASE);
}

/* ---- in the handler */

/* What the interrupted code asks for its own mask, which is told and set as if SIGSYS and the rest were as it wants them. */
static long change_mask(struct passage *passage, ucontext_t *context)
{
    ramet_sigset now = passage->mask, wanted;
    const void *set = (const void *)ramet_handed_argument(context, 1);
    void *old = (void *)ramet_handed_argument(context, 2);
    if (set != NULL) {
        memcpy(&wanted, set, sizeof wanted);
        switch (ramet_handed_argument(context, 0)) {
        case SIG_BLOCK:
            passage->mask = now | wanted;
            break;
        case SIG_UNBLOCK:
            passage->mask = now & ~wanted;
            break;
        case SIG_SETMASK:
            passage->mask = wanted;
            break;
        default:
            return -EINVAL;
        }
        wanted = (passage->mask | HELD) & ~BIT(SIGSYS);
        memcpy(&context->uc_sigmask, &wanted, sizeof wanted); /* the kernel's set, which is shorter than libc's */
    }
    if (old != NULL)
        memcpy(old, &now, sizeof now);
    return 0;
}

/* In the child, on whatever stack it began: back to where libc waits for it. */
static int come_back(void *fn, void *arg, void *context)
{
    struct passage *passage = context;
    (void)fn, (void)arg;
    if (passage->tid_word != NULL)
        *passage->tid_word = (int)ramet_syscall0(__NR_gettid);
    passage->pid = 0;
    ramet_answer(passage->context, 0);
    ramet_leave_handler(passage->context);
}

static long give_birth(struct passage *passage, int *tid_word)
{
    if (passage->request == NULL)
        return -EAGAIN;
    struct ramet_request request = *passage->request;
    struct ramet_entry entry = *passage->entry;
    if (entry.run != NULL)
        return ramet_clone(&request, &entry);
    entry.run = come_back;
    entry.context = passage;
    if (request.args.flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))
        passage->tid_word = tid_word;
    else if (tid_word != NULL) {
        request.args.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
        request.args.child_tid = (uintptr_t)tid_word;
    }
    return ramet_clone(&request, &entry);
}

static void restore_action(void)
{
    ramet_syscall4(__NR_rt_sigaction, SIGSYS, &section->before, NULL, sizeof section->before.mask);
}

/* From here on all is as libc knows it. */
static void finish(struct passage *passage, ucontext_t *context)
{
    restore_action();
    memcpy(&context->uc_sigmask, &passage->mask, sizeof passage->mask);
    passage->over = true;
}

/* Makes the call in its caller's stead. */
static void serve(struct passage *passage, long number, ucontext_t *context)
{
    int *tid_word = NULL;
    if (number == __NR_rt_sigreturn)
        ramet_return_from_restorer(context);
    else if (number == __NR_rt_sigprocmask)
        ramet_answer(context, change_mask(passage, context));
    else if (ramet_is_fork(context, number, &tid_word)) {
        finish(passage, context);
        passage->reached = true;
        passage->context = context;
        passage->pid = give_birth(passage, tid_word);
        ramet_answer(context, passage->pid);
    } else if (ramet_returns_twice(number)) { /* a thread, which would begin in this handler: so the clone call will be missed */
        finish(passage, context);
        ramet_repeat_handed(context);
    } else
        ramet_answer(context, ramet_make_handed(context, number));
    if (number == __NR_sigaltstack) /* the way back sets what was there before */
        ramet_syscall2(__NR_sigaltstack, NULL, &context->uc_stack);
}

/* What is not ours, to whom it would have come: but for the stack that he wants, and the one time that he wants it. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
    struct ramet_signal_action before = section->before;
    if (before.handler == (void *)SIG_IGN && info->si_code <= 0)
        return;
    if (before.handler == (void *)SIG_DFL || before.handler == (void *)SIG_IGN) { /* the kernel does not ignore its own */
        ramet_set_action(signal, (void *)SIG_DFL);
        ramet_syscall3(__NR_tgkill, ramet_syscall0(__NR_getpid), ramet_syscall0(__NR_gettid), signal);
        return;
    }
    ramet_syscall4(__NR_rt_sigprocmask, SIG_BLOCK, &before.mask, NULL, sizeof before.mask);
    ((void (*)(int, siginfo_t *, void *))before.handler)(signal, info, context);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    bool ours = section->thread == ramet_thread_pointer();
    struct passage *passage = section->passage;
    char selector = ours ? section->selector : LET_THROUGH;
    if (ours)
        section->selector = LET_THROUGH;
    if (ours && info->si_code <= 0 && passage->mask & BIT(SIGSYS)) {
        passage->late = true;
        passage->told = *info;
    } else if (!ours || info->si_code != SIGNALLED_CODE)
        pass_on(signal, info, context);
    else
        serve(passage, info->si_syscall, context);
    if (ours)
        section->selector = passage->over ? LET_THROUGH : selector;
}

/* ---- around libc's fork */

static bool begin(struct passage *passage)
{
    const struct ramet_signal_action ours = {
        .handler = (void *)on_signal,
        .flags = SA_SIGINFO | SA_NODEFER | SA_RESTORER,
        .restorer = (void *)ramet_restorer,
    };
    const ramet_sigset held = HELD, let_in = BIT(SIGSYS);
    struct ramet_signal_action before;
    if (!enter())
        return false;
    section->passage = passage;
    ramet_syscall4(__NR_rt_sigprocmask, SIG_BLOCK, &held, &passage->mask, sizeof held);
    ramet_syscall4(__NR_rt_sigaction, SIGSYS, NULL, &before, sizeof before.mask);
    if (before.handler != ours.handler) /* which who died within has left */
        section->before = before;
    ramet_syscall4(__NR_rt_sigaction, SIGSYS, &ours, NULL, sizeof ours.mask);
    if (ramet_syscall5(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, ON, ramet_restorer,
                       ramet_restorer_end - (const char *)ramet_restorer, &section->selector) == 0) {
        ramet_syscall4(__NR_rt_sigprocmask, SIG_UNBLOCK, &let_in, NULL, sizeof let_in);
        section->selector = HAND_OVER;
        return true;
    }
    restore_action();
    ramet_set_signal_mask(passage->mask);
    leave();
    return false;
}

/* In the caller. The child begins without dispatch, and finds the section wiped. */
static void end(struct passage *passage)
{
    section->selector = LET_THROUGH;
    ramet_syscall5(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, OFF, 0, 0, 0);
    if (!passage->over) {
        restore_action();
        ramet_set_signal_mask(passage->mask);
    }
    leave();
    if (passage->late)
        ramet_syscall4(__NR_rt_tgsigqueueinfo, ramet_syscall0(__NR_getpid), ramet_syscall0(__NR_gettid), SIGSYS,
                       &passage->told);
}

/* Goes through libc's fork, with all its handlers; false: that was not to be had. */
static bool pass(struct passage *passage)
{
    if (!begin(passage))
        return false;
    pid_t pid = fork();
    if (pid != 0)
        end(passage);
    if (!passage->reached) /* a handler has made a thread, and the clone call was missed: nobody wants this one */
        dispose(pid);
    return true;
}

bool ramet_libc_fork(const struct ramet_request *request, const struct ramet_entry *entry, long *pid)
{
    struct passage passage = {.request = request, .entry = entry};
    if (!pass(&passage) || !passage.reached)
        return false;
    *pid = passage.pid;
    return true;
}

void ramet_run_fork_handlers(void)
{
    struct passage passage = {0};
    if (!pass(&passage))
        dispose(fork());
}

#else

bool ramet_libc_fork(const struct ramet_request *request, const struct ramet_entry *entry, long *pid)
{
    (void)request, (void)entry, (void)pid;
    return false;
}

void ramet_run_fork_handlers(void)
{
    dispose(fork());
}

#endif
