/* A child with a memory of its own: fork(), and what is like it but shares something else. */
#include "births.h"

#include <linux/sched.h>
#include <signal.h>
#include <unistd.h>

#include "libc_thread.h"
#include "quiet.h"

/* What the child needs from before the birth; it finds the copy in its own memory. */
struct copied {
    ramet_sigset mask;
    int *tid_word;
    void *robust_list;
    size_t robust_length;
    const struct core_birth *birth;
};

/* In libc's view: this thread, alone, under a new tid. */
static void settle_libc(const struct copied *copied)
{
    if (copied->tid_word != NULL)
        *copied->tid_word = (int)ramet_syscall0(__NR_gettid);
    ramet_robust_list_reset(copied->robust_list, copied->robust_length);
}

static void settle(const struct copied *copied)
{
    settle_libc(copied);
    ramet_set_signal_mask(copied->mask); /* before the handlers: what they start inherits it */
    PyOS_AfterFork_Child();
}

static int run_python(void *fn, void *arg, void *context)
{
    const struct copied *copied = context;
    if (copied->birth->stack != NULL)
        core_set_stack_bounds(PyThreadState_Get(), copied->birth->stack);
    settle(copied);
    return core_invoke(fn, arg);
}

static int run_native(void *fn, void *arg, void *context)
{
    settle(context);
    return ((int (*)(void *))fn)(arg);
}

/* Native code that brings its own thread-local block has left libc and Python behind. */
static int run_native_alone(void *fn, void *arg, void *context)
{
    const struct copied *copied = context;
    return ramet_run_native(fn, arg, (void *)(uintptr_t)copied->mask);
}

/* fork() has the kernel fill in libc's word; so does this, where the caller has no word of its own. */
static void adopt_tid_word(struct ramet_clone_args *args, int *tid_word)
{
    if (tid_word == NULL || args->flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_SETTLS))
        return;
    args->flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    args->child_tid = (uintptr_t)tid_word;
}

static long give_birth(struct core_birth *birth, struct copied *copied)
{
    struct ramet_request request = birth->request;
    adopt_tid_word(&request.args, copied->tid_word);
    if (birth->fn == NULL) {
        long pid = ramet_birth_twice(&request);
        if (pid == 0)
            settle_libc(copied);
        return pid;
    }
    struct ramet_entry entry = {
        .run = !birth->native                              ? run_python
               : birth->request.args.flags & CLONE_SETTLS ? run_native_alone
                                                          : run_native,
        .context = copied,
        .fn = birth->fn,
        .arg = birth->arg,
        .exit_call = core_exit_call(birth),
    };
    return ramet_birth(&request, &entry);
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
    struct copied copied = {.birth = birth, .tid_word = ramet_tid_word()};
    copied.robust_list = ramet_robust_list(&copied.robust_length);
    PyOS_BeforeFork();
    ramet_await_quiet();
    copied.mask = ramet_block_signals();
    long pid = give_birth(birth, &copied);
    ramet_set_signal_mask(copied.mask);
    if (pid == 0)
        PyOS_AfterFork_Child();
    else
        PyOS_AfterFork_Parent();
    return pid;
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
