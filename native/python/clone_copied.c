/* A child with a memory of its own: fork(), and what is like it but shares something else. */
#include "clone_ways.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <unistd.h>

#include "libc_fork.h"
#include "libc_thread.h"
#include "threads_at_rest.h"
#include "unshare.h"

/* ---- in the child */

/* Native code that brings its own thread-local block has left libc and Python behind: it never comes back. */
static bool leaves_libc(const struct core_birth *birth)
{
    return birth->native && birth->request.args.flags & CLONE_SETTLS;
}

static int run(const struct core_birth *birth, void *fn, void *arg)
{
    return birth->native ? ((int (*)(void *))fn)(arg) : core_invoke(fn, arg);
}

static void measure_stack(const struct core_birth *birth)
{
    if (birth->stack != NULL)
        core_set_stack_bounds(PyThreadState_Get(), birth->stack);
}

/* Where a given stack ends; 0 for the caller's. */
static uintptr_t stack_top(const struct core_birth *birth)
{
    return (uintptr_t)(birth->request.args.stack + birth->request.args.stack_size);
}

static void run_on_stack(void *context, void *left)
{
    const struct core_birth *birth = context;
    void **laid = (void **)stack_top(birth) - 2;
    (void)left;
    measure_stack(birth);
    _exit(run(birth, laid[0], laid[1]));
}

/* It came back through libc on its copy of the caller's stack, and goes over to a given one again. */
static void live(struct core_birth *birth)
{
    uintptr_t top = stack_top(birth);
    if (top != 0)
        ramet_on_stack((void *)(top - RAMET_FN_AND_ARG_BYTES), run_on_stack, birth);
    _exit(run(birth, birth->fn, birth->arg));
}

/* ---- with a fork of libc's that cannot be made another's */

/* What the child needs from before the clone call; it finds the copy in its own memory. */
struct copied {
    const struct core_birth *birth;
    ramet_sigset mask;
    int *tid_word;
    void *robust_list;
    size_t robust_length;
};

/* In libc's view: this thread, alone, under a new tid. */
static void settle(const struct copied *copied)
{
    if (copied->tid_word != NULL)
        *copied->tid_word = (int)ramet_syscall0(__NR_gettid);
    ramet_robust_list_reset(copied->robust_list, copied->robust_length);
    ramet_set_signal_mask(copied->mask); /* before the handlers: what they start inherits it */
}

static int live_by_hand(void *fn, void *arg, void *context)
{
    const struct copied *copied = context;
    measure_stack(copied->birth);
    settle(copied);
    PyOS_AfterFork_Child();
    return run(copied->birth, fn, arg);
}

/* fork() has the kernel fill in libc's word; so does this, where the caller has no word of its own. */
static void adopt_tid_word(struct ramet_clone_args *args, int *tid_word)
{
    if (tid_word == NULL || args->flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_SETTLS))
        return;
    args->flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    args->child_tid = (uintptr_t)tid_word;
}

static long give_birth_by_hand(const struct core_birth *birth, const struct ramet_entry *leaving)
{
    struct ramet_request request = birth->request;
    struct copied copied = {.birth = birth, .tid_word = ramet_tid_word()};
    struct ramet_entry entry = {live_by_hand, &copied, birth->fn, birth->arg, __NR_exit_group};
    copied.robust_list = ramet_robust_list(&copied.robust_length);
    adopt_tid_word(&request.args, copied.tid_word);
    copied.mask = ramet_block_signals();
    long pid = birth->fn == NULL ? ramet_clone_twice(&request) : ramet_clone(&request, leaving ? leaving : &entry);
    if (pid == 0)
        settle(&copied);
    else
        ramet_set_signal_mask(copied.mask);
    return pid;
}

/*
 * The handlers run in a fork before, which comes to nothing. And a lock that another thread holds at the
 * clone call stays locked in the child: so it waits until they rest.
 */
static long birth_beside_libc(const struct core_birth *birth, const struct ramet_entry *leaving)
{
    if (!core_is_alone())
        ramet_run_fork_handlers();
    ramet_await_threads_at_rest();
    return give_birth_by_hand(birth, leaving);
}

/* ---- the clone call */

static ramet_sigset signal_mask(void)
{
    ramet_sigset mask = 0;
    ramet_syscall4(__NR_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask);
    return mask;
}

/* Returns twice, but for a function that is called on another stack or has left libc: in these there is no second time. */
static long give_birth(const struct core_birth *birth)
{
    struct ramet_entry entry = {NULL, NULL, birth->fn, birth->arg, __NR_exit_group};
    if (leaves_libc(birth)) {
        entry.run = ramet_run_native;
        entry.context = (void *)(uintptr_t)signal_mask();
    }
    long pid = -ENOSYS;
    if (ramet_libc_fork(&birth->request, &entry, &pid))
        return pid;
    if (ramet_can_unshare(&birth->request))
        pid = ramet_fork_and_unshare(&birth->request);
    /* A filter may hide unshare(2) alone. */
    return pid != -ENOSYS ? pid : birth_beside_libc(birth, entry.run != NULL ? &entry : NULL);
}

bool core_may_copy(void)
{
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return true;
    PyErr_SetString(PyExc_RuntimeError, "a copy of the memory has the main interpreter only: make it from there");
    return false;
}

long core_birth_copied(struct core_birth *birth)
{
    PyOS_BeforeFork();
    long pid = give_birth(birth);
    if (pid != 0) {
        PyOS_AfterFork_Parent();
        return pid;
    }
    PyOS_AfterFork_Child();
    if (birth->fn != NULL)
        live(birth);
    return 0;
}

long core_fork(void)
{
    PyOS_BeforeFork();
    pid_t pid = fork();
    int error = errno;
    if (pid == 0)
        PyOS_AfterFork_Child();
    else
        PyOS_AfterFork_Parent();
    return pid < 0 ? -error : pid;
}
