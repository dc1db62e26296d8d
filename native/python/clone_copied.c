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

/* ---- before and after it */

static struct ramet_openmp before(void)
{
    struct ramet_openmp openmp = core_end_openmp();
    PyOS_BeforeFork();
    return openmp;
}

static void after_in_child(const struct ramet_openmp *openmp)
{
    ramet_note_openmp_pools(openmp);
    PyOS_AfterFork_Child();
}

/* ---- in the child */

/* Native code with a thread-local block of its own can use neither libc nor Python: it never returns to them. */
static bool leaves_libc(const struct core_request *request)
{
    return request->native && request->kernel.args.flags & CLONE_SETTLS;
}

static int run(const struct core_request *request, void *fn, void *arg)
{
    return request->native ? ((int (*)(void *))fn)(arg) : core_invoke(fn, arg);
}

static void measure_stack(const struct core_request *request)
{
    if (request->stack != NULL)
        core_set_stack_bounds(PyThreadState_Get(), request->stack);
}

/* Where a given stack ends; 0 for the caller's. */
static uintptr_t stack_top(const struct core_request *request)
{
    return (uintptr_t)(request->kernel.args.stack + request->kernel.args.stack_size);
}

static void run_on_stack(void *context, void *left)
{
    const struct core_request *request = context;
    void **laid = (void **)stack_top(request) - 2;
    (void)left;
    measure_stack(request);
    _exit(run(request, laid[0], laid[1]));
}

/* libc has returned on the child's copy of the caller's stack: a given stack is taken now. */
static void run_and_exit(struct core_request *request)
{
    uintptr_t top = stack_top(request);
    if (top != 0)
        ramet_on_stack((void *)(top - RAMET_FN_AND_ARG_BYTES), run_on_stack, request);
    _exit(run(request, request->fn, request->arg));
}

/* ---- where libc's fork() cannot be given other flags */

/* What the child needs from before the clone call; it finds the copy in its own memory. */
struct copied {
    const struct core_request *request;
    const struct ramet_openmp *openmp;
    ramet_sigset mask;
    int *tid_word;
    void *robust_list;
    size_t robust_length;
};

/* libc is to see one thread, this one, with its new tid. */
static void set_up(const struct copied *copied)
{
    if (copied->tid_word != NULL)
        *copied->tid_word = (int)ramet_syscall0(__NR_gettid);
    ramet_robust_list_reset(copied->robust_list, copied->robust_length);
    ramet_set_signal_mask(copied->mask); /* before the handlers: what they start inherits it */
}

static int run_by_hand(void *fn, void *arg, void *context)
{
    const struct copied *copied = context;
    measure_stack(copied->request);
    set_up(copied);
    after_in_child(copied->openmp);
    return run(copied->request, fn, arg);
}

/* fork() has the kernel fill in libc's word; so does this, where the caller has no word of its own. */
static void ask_for_tid_word(struct ramet_clone_args *args, int *tid_word)
{
    if (tid_word == NULL || args->flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_SETTLS))
        return;
    ramet_set_address(args, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, tid_word);
}

static long clone_by_hand(const struct core_request *request, const struct ramet_openmp *openmp, const struct ramet_entry *leaving)
{
    struct ramet_request asked = request->kernel;
    struct copied copied = {.request = request, .openmp = openmp, .tid_word = ramet_tid_word()};
    struct ramet_entry entry = {run_by_hand, &copied, request->fn, request->arg, __NR_exit_group};
    copied.robust_list = ramet_robust_list(&copied.robust_length);
    ask_for_tid_word(&asked.args, copied.tid_word);
    copied.mask = ramet_block_signals();
    long pid = request->fn == NULL ? ramet_clone_twice(&asked) : ramet_clone(&asked, leaving ? leaving : &entry);
    if (pid == 0)
        set_up(&copied);
    else
        ramet_set_signal_mask(copied.mask);
    return pid;
}

/*
 * The fork handlers run in a fork() before, which makes no child. A lock that another thread holds at the
 * clone call stays locked in the child: so this waits until the others sleep.
 */
static long clone_beside_libc(const struct core_request *request, const struct ramet_openmp *openmp, const struct ramet_entry *leaving)
{
    if (!core_is_alone())
        ramet_run_fork_handlers();
    ramet_await_threads_at_rest();
    return clone_by_hand(request, openmp, leaving);
}

/* ---- the clone call */

static ramet_sigset signal_mask(void)
{
    ramet_sigset mask = 0;
    ramet_syscall4(__NR_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask);
    return mask;
}

/* Returns twice; but once where a function is called on another stack, or cannot use libc. */
static long make_child(const struct core_request *request, const struct ramet_openmp *openmp)
{
    struct ramet_entry entry = {NULL, NULL, request->fn, request->arg, __NR_exit_group};
    if (leaves_libc(request)) {
        entry.run = ramet_run_native;
        entry.context = (void *)(uintptr_t)signal_mask();
    }
    long pid = -ENOSYS;
    if (ramet_libc_fork(&request->kernel, &entry, &pid))
        return pid;
    if (ramet_can_unshare(&request->kernel))
        pid = ramet_fork_and_unshare(&request->kernel);
    /* A filter may hide unshare(2) alone. */
    return pid != -ENOSYS ? pid : clone_beside_libc(request, openmp, entry.run != NULL ? &entry : NULL);
}

bool core_may_copy(void)
{
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return true;
    PyErr_SetString(PyExc_RuntimeError, "invalid clone call: a copy of the memory has the main interpreter only; make it from there");
    return false;
}

long core_clone_copied(struct core_request *request)
{
    const struct ramet_openmp openmp = before();
    long pid = make_child(request, &openmp);
    if (pid != 0) {
        PyOS_AfterFork_Parent();
        return pid;
    }
    after_in_child(&openmp);
    if (request->fn != NULL)
        run_and_exit(request);
    return 0;
}

/* Besides core_clone_copied(): no request says what to do, and libc's fork() does all but Python's part. */
long core_fork(void)
{
    const struct ramet_openmp openmp = before();
    pid_t pid = fork();
    int error = errno;
    if (pid == 0)
        after_in_child(&openmp);
    else
        PyOS_AfterFork_Parent();
    return pid < 0 ? -error : pid;
}
