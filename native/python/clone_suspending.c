/*
 * VM|VFORK: the calling thread is suspended until its child execs or ends, and lends it everything:
 * stack, thread-local block, memory. A Python function gets a thread state of its own all the same,
 * so that an exec within nested frames leaves the caller's state as it was.
 */
#define _GNU_SOURCE
#include "clone_ways.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump_guard.h"
#include "watched_children.h"
#include "libc_thread.h"
#include "nested_hosts.h"
#include "parent_death.h"
#include "regain_gil.h"
#include "suspended_callers.h"

#define LOOK_STACK_BYTES 16384
#define LEAST_STACK_BYTES 49152 /* the stack of look(), what is noted of a dead child, and some of Python */

struct suspending {
    PyThreadState *state;
    ramet_sigset mask;
    bool clear_handlers;
    bool guards_dumps;
    bool is_process;
    bool finished; /* the function of the child has returned... */
    bool clean;     /* ...and left nothing in its state */
    bool outlived; /* it has returned, but other threads of the child ran on: these were dealt with in the child */
    pid_t owner; /* 0: do not die with it */
    pid_t pid;   /* as the child sees it */
    const struct ramet_stack *stack;
    struct ramet_dump_guard *guard;
    struct core_suspended *caller;
    struct core_dead_frames found; /* of a child that did not finish */
};

static void set_up(struct suspending *call)
{
    call->pid = (pid_t)ramet_syscall0(__NR_getpid);
    core_table_set_up(&call->caller->table, call->pid);
    if (call->clear_handlers)
        ramet_clear_handlers();
    if (call->guards_dumps)
        ramet_guard_dumps(call->guard);
    if (call->owner != 0)
        ramet_die_with_process(call->owner);
    ramet_set_signal_mask(call->mask);
}

static int run_python(void *fn, void *arg, void *context)
{
    struct suspending *call = context;
    set_up(call);
    core_set_stack_bounds(call->state, call->stack);
    PyEval_RestoreThread(call->state);
    int code = core_invoke(fn, arg);
    core_table_close(&call->caller->table, NULL);
    PyEval_SaveThread();
    return code;
}

static int run_task(void *task, void *arg, void *context)
{
    struct suspending *call = context;
    (void)arg;
    set_up(call);
    PyEval_RestoreThread(call->state);
    int code = core_run_task(task, NULL);
    call->outlived = call->is_process && core_outlived_by_threads();
    if (call->outlived)
        return code;
    core_table_close(&call->caller->table, task);
    bool clean = core_is_clean(call->state) && !(call->is_process && ramet_nested_hosts_any());
    PyEval_SaveThread();
    call->clean = clean;
    call->finished = true;
    return code;
}

/*
 * A child whose function has returned is a zombie, or will be at once. Signals are blocked: a handler
 * must not reap it first.
 */
static void reap(SharedTaskObject *task, long pid, uint64_t flags)
{
    siginfo_t info = {0};
    if (flags & (CLONE_THREAD | CLONE_PARENT | CLONE_PTRACE)) /* not this process's to wait for */
        return;
    if (ramet_syscall5(__NR_waitid, P_PID, pid, &info, WEXITED | __WALL, &task->used) < 0)
        return;
    task->ended_how = info.si_code;
    task->ended_with = info.si_status;
}

static void look(void *context, void *left)
{
    struct suspending *call = context;
    core_look_at_suspended(&call->caller->table);
    core_keep_stack(&call->found.stack, call->stack == NULL ? (uintptr_t)left : call->stack->base + call->stack->size);
    core_look_at_frames(call->state, &call->found);
}

/*
 * In a state made for it, and not as the main thread: the handler of a signal that comes meanwhile runs later, in
 * the caller's code, which can catch what it raises.
 */
static void recover(PyThreadState *mine, struct suspending *call, SharedTaskObject *task, long pid)
{
    PyThreadState *state = PyThreadState_New(mine->interp);
    bool is_main = core_hide_main_thread();
    if (state != NULL)
        PyThreadState_Swap(state);
    PyThreadState *noted = core_note_state(state);
    call->caller->state = NULL; /* as in go_on() */
    core_recover(call->state, &call->found);
    core_table_abandon(&call->caller->table);
    core_take_stock(&call->found, NULL, task, false);
    if (!call->finished)
        core_shared_task_forget(task);
    if (pid > 0 && call->is_process && !call->finished) {
        core_recover_threads(pid);
        if (call->outlived)
            core_note_native_threads();
        else
            core_recover_native_threads(false);
    }
    if (state != NULL) {
        PyThreadState_Clear(state);
        PyThreadState_Swap(mine);
        core_note_state(noted);
        PyThreadState_Delete(state);
    }
    if (!is_main)
        return;
    core_show_main_thread();
    /* Python looks for pending signals when a thread takes the GIL; the main thread has not done so meanwhile. */
    Py_BEGIN_ALLOW_THREADS
    Py_END_ALLOW_THREADS
}

/* Without the GIL: the caller's own state again, with it. */
static void go_on(PyThreadState *mine, struct suspending *call, SharedTaskObject *task, long pid)
{
    if (!call->clean) {
        core_regain_gil(call->state, mine, call->pid, call->is_process && !call->finished && pid > 0 ? pid : 0,
                        &call->caller->table);
        recover(mine, call, task, pid);
        return;
    }
    PyEval_RestoreThread(mine);
    call->caller->state = NULL; /* first: this task may be killed, and another recovers what it was suspended for */
    if (!core_keep_state(call->state))
        core_delete_state(call->state);
}

bool core_has_room_for_child(void)
{
    static _Thread_local uintptr_t lowest, highest; /* 0 for the main thread's, which grows */
    static _Thread_local bool measured;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (!measured && !core_is_main_thread())
        ramet_stack_bounds(&lowest, &highest);
    measured = true;
    if (here < lowest || here >= highest || here - lowest >= LEAST_STACK_BYTES) /* it is on another one */
        return true;
    PyErr_Format(PyExc_ValueError,
                 "invalid stack: expected at least %d bytes left on this thread's, on which the child runs, got %zu; make the "
                 "thread with a larger threading.stack_size()",
                 LEAST_STACK_BYTES, (size_t)(here - lowest));
    return false;
}

static struct core_suspended *caller_with(PyThreadState *state, const struct core_request *request)
{
    struct core_suspended *caller = PyMem_RawCalloc(1, sizeof *caller);
    if (caller == NULL)
        return NULL;
    caller->state = state;
    caller->stack_top = (uintptr_t)__builtin_frame_address(0);
    if (request->stack != NULL)
        caller->stack_top = request->stack->base + request->stack->size;
    core_table_enter(&caller->table, state, request->kernel.args.flags);
    return caller;
}

static long clone_python(struct core_request *request)
{
    struct suspending call = {
        .state = core_take_state(),
        .clear_handlers = core_clears_handlers(request),
        .is_process = !(request->kernel.args.flags & CLONE_THREAD),
        .guards_dumps = core_guards_dumps(request),
        .owner = core_owner(request),
        .stack = request->stack,
    };
    if (call.state == NULL)
        return -ENOMEM;
    call.caller = caller_with(call.state, request);
    if (call.caller == NULL) {
        core_delete_state(call.state);
        return -ENOMEM;
    }
    struct ramet_entry entry = {run_python, &call, request->fn, request->arg, core_exit_call(request)};
    if (request->fn == NULL) {
        entry.run = run_task;
        entry.fn = request->task;
    }
    union {
        struct ramet_dump_guard guard; /* while there is a child */
        char stack[LOOK_STACK_BYTES] __attribute__((aligned(16)));
    } lent;
    lent.guard.has_marked = false;
    call.guard = &lent.guard;
    struct ramet_request asked = request->kernel;
    int *watched;
    long pid = core_watch(request, &asked.args, &watched);
    core_suspend(call.caller, request, &asked.args, watched);
    PyThreadState *mine = PyEval_SaveThread();
    PyThreadState *noted = core_note_state(call.state); /* else a callback in the child would wait for itself */
    call.mask = ramet_block_signals();
    struct ramet_cleanups cleanups;
    ramet_cleanups_keep(&cleanups);
    long rseq_length = ramet_rseq_unregister(); /* else the child would read the caller's processor */
    bool is_main = core_hide_main_thread(); /* with signals blocked: nothing here asks for it */
    if (pid == 0)
        pid = ramet_clone(&asked, &entry);
    __atomic_store_n(&call.caller->goes_on, true, __ATOMIC_RELEASE);
    ramet_restore_after_dump(call.guard);
    if (pid > 0 && !call.finished)
        ramet_on_stack(lent.stack + sizeof lent.stack, look, &call); /* and not where the child has been */
    if (is_main)
        core_show_main_thread();
    ramet_rseq_register(rseq_length);
    ramet_cleanups_put_back(&cleanups);
    if (watched != NULL) {
        ramet_watched_leave(watched);
        ramet_watched_drain();
    }
    if (pid > 0 && call.finished)
        reap(request->task, pid, request->kernel.args.flags);
    ramet_set_signal_mask(call.mask);
    core_note_state(noted);
    go_on(mine, &call, request->task, pid);
    core_resume(call.caller);
    PyMem_RawFree(call.caller);
    return pid;
}

static long clone_native(struct core_request *request)
{
    PyThreadState *mine = PyEval_SaveThread();
    ramet_sigset mask = ramet_block_signals();
    struct ramet_entry entry = {ramet_run_native, (void *)(uintptr_t)mask, request->fn, request->arg, core_exit_call(request)};
    long pid = ramet_clone(&request->kernel, &entry);
    ramet_set_signal_mask(mask);
    PyEval_RestoreThread(mine);
    return pid;
}

long core_clone_suspending(struct core_request *request)
{
    if (request->stack != NULL)
        ramet_stack_occupy(request->stack);
    long pid = request->native ? clone_native(request) : clone_python(request);
    if (request->stack != NULL)
        ramet_stack_leave(request->stack);
    return pid;
}
