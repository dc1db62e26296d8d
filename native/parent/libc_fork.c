/*
 * Syscall User Dispatch hands each system call of libc's fork to a signal handler here, which makes the same call. When
 * the clone call comes, the handler makes the child of the request, or answers EAGAIN.
 *
 *  1. A call that is handed over while SIGSYS is blocked ends the process, and libc blocks all signals around
 *     the clone call. So SIGSYS is kept out of the signal mask, and libc is told the mask that it has asked for.
 *  2. The handler of another signal would make calls that are handed over as well, and may have SIGSYS blocked. So
 *     all signals are blocked until the clone call, but for those of faults and libc's own, whose handlers another
 *     thread waits for (setuid).
 *  3. Signal handlers belong to the process, which may have one for SIGSYS: it is called for each SIGSYS that is not
 *     for this file, and is restored before the child is made.
 *  4. After the clone call no call is handed over any more, in the parent or the child.
 */
#define _GNU_SOURCE
#include "libc_fork.h"

#include <dispatch.h>
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "epoch.h"

/* Ends and reaps a child that was made for the handlers alone. */
static void discard(pid_t pid)
{
    if (pid == 0)
        ramet_syscall1(__NR_exit_group, 0);
    while (pid > 0 && ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED, NULL) == -EINTR)
        ;
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
#define DISPATCH_CODE 2 /* SYS_USER_DISPATCH, asm-generic/siginfo.h */

enum selector { LET_THROUGH, HAND_OVER }; /* SYSCALL_DISPATCH_FILTER_*, linux/prctl.h */

#define BIT(signal) (UINT64_C(1) << ((signal) - 1))
#define OF_FAULTS (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP))
#ifdef __GLIBC__
#define OF_LIBC (BIT(32) | BIT(33)) /* their handlers block nothing */
#else
#define OF_LIBC 0
#endif
#define HELD (~(OF_FAULTS | OF_LIBC | BIT(SIGSYS)))

/* One for all tasks that use this memory, one at a time. */
struct dispatch {
    int owner; /* a tid, 0 for none */
    void *thread;
    volatile char selector; /* the kernel reads it at every call */
    struct ramet_signal_action before;
    struct fork_call *call;
};

/* One call of libc's fork. */
struct fork_call {
    const struct ramet_request *request; /* NULL: no child is to be made */
    const struct ramet_entry *entry;
    ramet_sigset mask;   /* of the caller, as libc knows it */
    bool late;           /* SIGSYS was sent to a caller that has it blocked... */
    siginfo_t info;      /* ...with this */
    bool over;           /* no call is handed over any more */
    bool reached;        /* the clone call */
    ucontext_t *context; /* where libc makes it */
    int *tid_word;       /* libc's, which the child writes itself; else NULL */
    long pid;
};

static struct dispatch *dispatch;

static void __attribute__((constructor)) map_dispatch(void)
{
    dispatch = ramet_wiped_on_fork(sizeof *dispatch);
}

static bool is_gone(int tid)
{
    return ramet_syscall2(__NR_tkill, tid, 0) == -ESRCH;
}

/* A task that was killed in such a call is still its owner. */
static bool take_dispatch(void)
{
    int tid = (int)ramet_syscall0(__NR_gettid), owner = 0;
    if (dispatch == NULL)
        return false;
    if (!__atomic_compare_exchange_n(&dispatch->owner, &owner, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED) &&
        !(owner != tid && is_gone(owner) &&
          __atomic_compare_exchange_n(&dispatch->owner, &owner, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        return false;
    dispatch->thread = ramet_thread_pointer();
    dispatch->selector = LET_THROUGH;
    return true;
}

static void release_dispatch(void)
{
    dispatch->thread = NULL;
    __atomic_store_n(&dispatch->owner, 0, __ATOMIC_RELEASE);
}

/* ---- in the handler */

/* rt_sigprocmask for the interrupted code: it reads and writes the mask that it would have, and SIGSYS stays unblocked. */
static long change_mask(struct fork_call *call, ucontext_t *context)
{
    ramet_sigset now = call->mask, wanted;
    const void *set = (const void *)ramet_handed_argument(context, 1);
    void *old = (void *)ramet_handed_argument(context, 2);
    if (set != NULL) {
        memcpy(&wanted, set, sizeof wanted);
        switch (ramet_handed_argument(context, 0)) {
        case SIG_BLOCK:
            call->mask = now | wanted;
            break;
        case SIG_UNBLOCK:
            call->mask = now & ~wanted;
            break;
        case SIG_SETMASK:
            call->mask = wanted;
            break;
        default:
            return -EINVAL;
        }
        wanted = (call->mask | HELD) & ~BIT(SIGSYS);
        memcpy(&context->uc_sigmask, &wanted, sizeof wanted); /* the kernel's set, which is shorter than libc's */
    }
    if (old != NULL)
        memcpy(old, &now, sizeof now);
    return 0;
}

/* Whether the call is a fork; then *tid_word is where the kernel writes the child's tid, NULL for nowhere. */
static bool is_fork(const ucontext_t *context, long number, int **tid_word)
{
    const struct ramet_clone_args *args = (const void *)ramet_handed_argument(context, 0);
    struct ramet_clone_args asked = {0};
    if (number == __NR_clone3)
        asked = *args;
    else if (number == __NR_clone) {
        asked.flags = ramet_handed_argument(context, 0);
        asked.stack = ramet_handed_argument(context, 1);
        asked.child_tid = ramet_handed_argument(context, RAMET_CLONE_TID_WORD);
    } else if (number != __NR_fork)
        return false;
    *tid_word = asked.flags & CLONE_CHILD_SETTID ? (int *)asked.child_tid : NULL;
    return !(asked.flags & CLONE_VM) && asked.stack == 0;
}

/* In the child, on the stack on which it began: returns to where libc made the call. */
static int return_to_libc(void *fn, void *arg, void *context)
{
    struct fork_call *call = context;
    (void)fn, (void)arg;
    if (call->tid_word != NULL)
        *call->tid_word = (int)ramet_syscall0(__NR_gettid);
    call->pid = 0;
    ramet_answer(call->context, 0);
    ramet_leave_handler(call->context);
}

static long make_child(struct fork_call *call, int *tid_word)
{
    if (call->request == NULL)
        return -EAGAIN;
    struct ramet_request request = *call->request;
    struct ramet_entry entry = *call->entry;
    if (entry.run != NULL)
        return ramet_clone(&request, &entry);
    entry.run = return_to_libc;
    entry.context = call;
    if (request.args.flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))
        call->tid_word = tid_word;
    else if (tid_word != NULL)
        ramet_set_address(&request.args, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, tid_word);
    return ramet_clone(&request, &entry);
}

static void restore_action(void)
{
    ramet_syscall4(__NR_rt_sigaction, SIGSYS, &dispatch->before, NULL, sizeof dispatch->before.mask);
}

/* From here on mask and action are as libc knows them. */
static void finish(struct fork_call *call, ucontext_t *context)
{
    restore_action();
    memcpy(&context->uc_sigmask, &call->mask, sizeof call->mask);
    call->over = true;
}

/* Makes a system call that was handed over. */
static void handle_call(struct fork_call *call, long number, ucontext_t *context)
{
    int *tid_word = NULL;
    if (number == __NR_rt_sigreturn)
        ramet_return_from_restorer(context);
    else if (number == __NR_rt_sigprocmask)
        ramet_answer(context, change_mask(call, context));
    else if (is_fork(context, number, &tid_word)) {
        finish(call, context);
        call->reached = true;
        call->context = context;
        call->pid = make_child(call, tid_word);
        ramet_answer(context, call->pid);
    } else if (ramet_returns_twice(number)) {
        finish(call, context); /* a thread would begin in this handler: it is made without dispatch, and so is the fork */
        ramet_repeat_handed(context);
    } else
        ramet_answer(context, ramet_make_handed(context, number));
    if (number == __NR_sigaltstack) /* the return of the handler restores what the context has */
        ramet_syscall2(__NR_sigaltstack, NULL, &context->uc_stack);
}

/* Another SIGSYS, for the action that the process had: but without SA_ONSTACK and SA_RESETHAND. */
static void forward(int signal, siginfo_t *info, void *context)
{
    struct ramet_signal_action before = dispatch->before;
    if (before.handler == (void *)SIG_IGN && info->si_code <= 0)
        return;
    if (before.handler == (void *)SIG_DFL || before.handler == (void *)SIG_IGN) {
        ramet_set_action(signal, (void *)SIG_DFL); /* the kernel does not ignore a SIGSYS of its own */
        ramet_syscall3(__NR_tgkill, ramet_syscall0(__NR_getpid), ramet_syscall0(__NR_gettid), signal);
        return;
    }
    ramet_syscall4(__NR_rt_sigprocmask, SIG_BLOCK, &before.mask, NULL, sizeof before.mask);
    ((void (*)(int, siginfo_t *, void *))before.handler)(signal, info, context);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    bool ours = dispatch->thread == ramet_thread_pointer();
    struct fork_call *call = dispatch->call;
    char selector = ours ? dispatch->selector : LET_THROUGH;
    if (ours)
        dispatch->selector = LET_THROUGH;
    if (ours && info->si_code <= 0 && call->mask & BIT(SIGSYS)) {
        call->late = true;
        call->info = *info;
    } else if (!ours || info->si_code != DISPATCH_CODE)
        forward(signal, info, context);
    else
        handle_call(call, info->si_syscall, context);
    if (ours)
        dispatch->selector = call->over ? LET_THROUGH : selector;
}

/* ---- around libc's fork */

static bool begin(struct fork_call *call)
{
    const struct ramet_signal_action ours = {
        .handler = (void *)on_signal,
        .flags = SA_SIGINFO | SA_NODEFER | SA_RESTORER,
        .restorer = (void *)ramet_restorer,
    };
    const ramet_sigset held = HELD, let_in = BIT(SIGSYS);
    struct ramet_signal_action before;
    if (!take_dispatch())
        return false;
    dispatch->call = call;
    ramet_syscall4(__NR_rt_sigprocmask, SIG_BLOCK, &held, &call->mask, sizeof held);
    ramet_syscall4(__NR_rt_sigaction, SIGSYS, NULL, &before, sizeof before.mask);
    if (before.handler != ours.handler) /* left by a task that was killed in such a call */
        dispatch->before = before;
    ramet_syscall4(__NR_rt_sigaction, SIGSYS, &ours, NULL, sizeof ours.mask);
    if (ramet_syscall5(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, ON, ramet_restorer,
                       ramet_restorer_end - (const char *)ramet_restorer, &dispatch->selector) == 0) {
        ramet_syscall4(__NR_rt_sigprocmask, SIG_UNBLOCK, &let_in, NULL, sizeof let_in);
        dispatch->selector = HAND_OVER;
        return true;
    }
    restore_action();
    ramet_set_signal_mask(call->mask);
    release_dispatch();
    return false;
}

/* In the caller. The child begins without dispatch, and its memory of it is wiped. */
static void end(struct fork_call *call)
{
    dispatch->selector = LET_THROUGH;
    ramet_syscall5(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, OFF, 0, 0, 0);
    if (!call->over) {
        restore_action();
        ramet_set_signal_mask(call->mask);
    }
    release_dispatch();
    if (call->late)
        ramet_syscall4(__NR_rt_tgsigqueueinfo, ramet_syscall0(__NR_getpid), ramet_syscall0(__NR_gettid), SIGSYS,
                       &call->info);
}

/* Calls libc's fork, with all its handlers; false: dispatch was not available. */
static bool call_fork(struct fork_call *call)
{
    if (!begin(call))
        return false;
    pid_t pid = fork();
    if (pid != 0)
        end(call);
    if (!call->reached) /* a handler has made a thread, so that this is a plain fork */
        discard(pid);
    return true;
}

bool ramet_libc_fork(const struct ramet_request *request, const struct ramet_entry *entry, long *pid)
{
    struct fork_call call = {.request = request, .entry = entry};
    if (!call_fork(&call) || !call.reached)
        return false;
    *pid = call.pid;
    return true;
}

void ramet_run_fork_handlers(void)
{
    struct fork_call call = {0};
    if (!call_fork(&call))
        discard(fork());
}

#else

bool ramet_libc_fork(const struct ramet_request *request, const struct ramet_entry *entry, long *pid)
{
    (void)request, (void)entry, (void)pid;
    return false;
}

void ramet_run_fork_handlers(void)
{
    discard(fork());
}

#endif
