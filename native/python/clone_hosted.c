/* VM without VFORK: the child goes on beside its caller, on what a host thread lends it. */
#include "clone_subinterpreter.h"

#include <linux/sched.h>
#include <unistd.h>

#include "epoch.h"
#include "futex.h"
#include "host_deadline.h"
#include "libc_thread.h"
#include "watched_children.h"
#include "nested_hosts.h"
#include "host_pool.h"
#include "regain_gil.h"

#define TRACEMALLOC_IS_OFF (-2)

/*
 * Python asks libc for them when a state is first attached, under a lock in this thread-local block: a child
 * that is killed there leaves it locked, and the recovering thread would wait for it.
 */
static void tell_bounds(PyThreadState *state)
{
    uintptr_t lowest, highest;
    if (!ramet_stack_bounds(&lowest, &highest))
        return;
    const struct ramet_stack own = {.base = lowest, .size = highest - lowest};
    core_set_stack_bounds(state, &own);
}

/* In the recovering thread's state: tracemalloc needs one. */
static void make_interpreter(struct core_hosted *call)
{
    PyEval_RestoreThread(call->recovering);
    call->own = core_interpreter_new(call->own_interpreter->fn);
    if (core_is_attached(call->recovering))
        PyEval_SaveThread();
}

static PyThreadState *state_for_child(struct core_hosted *call)
{
    if (call->own_interpreter == NULL)
        return PyThreadState_New(call->interpreter);
    if (call->own == NULL)
        make_interpreter(call);
    return call->own == NULL ? NULL : PyThreadState_New(call->own->state);
}

/*
 * Both are made by the host thread. The child's, since a child killed within would leave the list of states
 * locked. The recovering thread's, since tracemalloc takes the GIL whenever memory is allocated, and looks at the
 * frames of the thread: and later these are the dead child's. The child's is made last: an exception for a thread
 * goes to its newest state.
 */
static void prepare(void *context)
{
    struct core_hosted *call = context;
    call->recovering = PyThreadState_New(call->interpreter);
    call->state = call->recovering == NULL ? NULL : state_for_child(call);
    if (call->state == NULL || call->own_interpreter != NULL)
        return;
    core_note_state(call->state);
    tell_bounds(call->state);
}

/* What a dead child held. Children of its own (nested) died with it, at no safe point: they may have been changing that. */
static void release(struct core_release *release, struct core_hosted *call, int nested)
{
    if (call->finished)
        return;
    if (call->at_safe_point && nested == 0)
        core_release_take(release, call->state, &call->found, core_task_of(call));
    core_shared_task_forget(core_task_of(call));
}

static bool recover(void *context)
{
    struct core_hosted *call = context;
    if (call->own_interpreter != NULL) {
        core_recover_subinterpreter(call);
        return false;
    }
    PyThreadState *mine = call->recovering;
    core_note_state(mine);
    struct core_release released = {0};
    long pid = call->is_process && !call->finished ? core_pid_of(call) : 0;
    int nested = core_regain_gil(call->state, mine, call->own_pid, pid, &call->table);
    call->over = true; /* an exception for the child would be raised here, where the identity is the child's */
    bool interrupted = call->state->async_exc != NULL;
    release(&released, call, nested);
    PyThreadState *dead = call->state;
    call->state = NULL; /* first, as in core_clean_up() */
    core_recover(dead, &call->found);
    if (interrupted && PyThreadState_SetAsyncExc(mine->thread_id, PyExc_SystemExit) > 0)
        core_swallow_interrupt(mine);
    core_table_abandon(&call->table);
    call->found.was_at_work = call->killed_at_work;
    if (core_take_stock(&call->found, &released, core_task_of(call), true))
        call->host->must_not_end = true;
    core_release_finish(&released);
    if (call->is_process && !call->finished) {
        core_recover_threads(core_pid_of(call));
        if (call->outlived)
            core_note_native_threads();
        else
            core_recover_native_threads(call->had_threads);
    }
    core_clean_up(call, mine);
    if (!call->host->reusable || !call->finished || ramet_host_holds_mutex(call->host))
        return false;
    prepare(call);
    return call->state != NULL;
}

static void discard(void *context)
{
    struct core_hosted *call = context;
    if (call->own_interpreter != NULL && call->state != NULL) {
        PyEval_RestoreThread(call->state);
        core_discard_subinterpreter(call);
    } else if (call->recovering != NULL) {
        core_note_state(call->recovering);
        PyEval_RestoreThread(call->recovering);
        if (call->state != NULL)
            core_delete_state(call->state);
        core_clean_up(call, call->recovering);
    }
}

/* In a thread of its own, with the GIL, so that the child is not changing an object. */
static void expire(void *context)
{
    struct core_hosted *call = context;
    struct ramet_host *host = call->host;
    PyThreadState *mine = PyThreadState_New(call->interpreter);
    if (mine == NULL)
        return; /* the host thread will do it */
    PyEval_RestoreThread(mine);
    if (host->deadline != 0 && ramet_now() >= host->deadline && !call->leaving &&
        !__atomic_exchange_n(&host->expired, 1, __ATOMIC_ACQ_REL))
        call->kind->kill(call, host->child, -1);
    PyThreadState_Clear(mine);
    PyThreadState_DeleteCurrent();
}

/* With an interpreter of its own it may need the caller's GIL for an import. */
static bool blocks_expire(void *context)
{
    const struct core_hosted *call = context;
    return call->own_interpreter != NULL || core_gil_is_with(call->state);
}

static void run(struct ramet_host *host)
{
    struct core_hosted *call = host->context;
    struct ramet_arena arena;
    call->arena = &arena;
    ramet_arena_note(&arena);
    ramet_host_serve(host); /* with which the host and `call` go */
    ramet_arena_leave(&arena);
}

static void prepare_first(void *context)
{
    const struct core_hosted *call = context;
    prepare(context);
    ramet_arena_find(call->arena);
}

/* The arena before anything is allocated or freed. */
static void inspect(void *context)
{
    const struct core_hosted *call = context;
    ramet_arena_recover(call->arena);
    core_look_at_hosted(context);
}

static const struct ramet_host_callbacks callbacks = {run, prepare_first, inspect, recover, discard, expire, blocks_expire};

static bool interrupt(struct core_hosted *call, PyObject *exception)
{
    if (call->over || call->leaving)
        return false;
    if (call->begun) {
        call->interrupted = true;
        return PyThreadState_SetAsyncExc(call->state->thread_id, exception) > 0;
    }
    Py_XSETREF(call->early, Py_NewRef(exception)); /* what runs before the function would swallow it */
    return true;
}

static const struct core_hosted_kind kind = {core_kill_hosted, interrupt};

/*
 * What comes too late for the function would be raised in what the library does after it, and leave that half done: threads
 * that nobody waits for, files that are not written, a pool of a library's that its next user waits for.
 */
static void function_is_over(struct core_hosted *call)
{
    call->over = true;
    core_swallow_interrupt(call->state);
    if (call->interrupted)
        core_give_back_after_interrupt();
}

/* Nothing of Python runs in this child afterwards. Whether there is anything to recover. */
static bool leave_python(struct core_hosted *call)
{
    call->leaving = true;
    core_swallow_interrupt(call->state);
    Py_CLEAR(call->kept);
    core_forget_thread();
    bool clean = call->host->reusable && core_is_clean(call->state) && !ramet_host_holds_mutex(call->host) &&
                !(call->is_process && ramet_nested_hosts_any());
    PyEval_SaveThread();
    call->finished = true;
    return !clean;
}

static int run_task(void *task, void *arg, void *context)
{
    struct core_hosted *call = context;
    (void)arg;
    core_set_up_child(call);
    PyEval_RestoreThread(call->state);
    core_name_thread(&call->thread);
    call->begun = true;
    int code = core_run_task(task, call->early);
    function_is_over(call);
    Py_CLEAR(call->early);
    call->outlived = call->is_process && core_outlived_by_threads();
    if (call->outlived)
        return code;
    core_table_close(&call->table, task);
    if (!leave_python(call))
        ramet_host_leave(call->host);
    return code;
}

static int run_python(void *fn, void *arg, void *context)
{
    struct core_hosted *call = context;
    core_set_up_child(call);
    core_set_stack_bounds(call->state, call->stack);
    PyEval_RestoreThread(call->state);
    int code = core_invoke(fn, arg);
    core_table_close(&call->table, NULL);
    leave_python(call);
    return code;
}

static int run_native(void *fn, void *arg, void *context)
{
    core_set_up_child(context);
    return ((int (*)(void *))fn)(arg);
}

/* The kernel clears one word for a task, which the host thread needs: the child writes the caller's word, and the host thread clears it. */
static void serve_words(struct ramet_clone_args *args, struct ramet_host *host)
{
    int *word = (int *)(uintptr_t)args->child_tid;
    if (args->flags & CLONE_CHILD_SETTID)
        host->settid_word = word;
    if (args->flags & CLONE_CHILD_CLEARTID)
        host->cleartid_word = word;
    ramet_set_address(args, CLONE_CHILD_CLEARTID, host->word);
}

static void hold_words(const struct core_request *request, struct ramet_host *host)
{
    for (int i = 0; i < 2; i++)
        if (request->words[i] != NULL)
            host->words[i] = ramet_word_hold(request->words[i]);
}

static struct ramet_entry entry_of(const struct core_request *request, struct core_hosted *call)
{
    struct ramet_entry entry = {run_python, call, request->fn, request->arg, core_exit_call(request)};
    if (request->native)
        entry.run = run_native;
    else if (request->fn == NULL) {
        entry.run = request->own_interpreter ? core_run_subinterpreter : run_task;
        entry.fn = request->task;
    }
    return entry;
}

/* Where its pid is to be read as soon as there is a child. */
static void have_pid_told(const struct core_request *request, struct ramet_clone_args *args, struct core_hosted *call)
{
    call->told = 0;
    call->table.told = call->host->watched;
    if (args->flags & (CLONE_PARENT_SETTID | CLONE_THREAD) || request->kernel.legacy) /* clone() may write a pidfd there */
        return;
    ramet_set_address(args, CLONE_PARENT_SETTID, &call->told);
    call->table.told = &call->told;
}

static long make_child(struct core_request *request, struct core_hosted *call)
{
    struct ramet_host *host = call->host;
    struct ramet_request asked = request->kernel;
    serve_words(&asked.args, host);
    core_lend_block(&asked.args, host);
    hold_words(request, host);
    long error = core_watch(request, &asked.args, &host->watched);
    if (error < 0)
        return error;
    have_pid_told(request, &asked.args, call);
    struct ramet_entry entry = entry_of(request, call);
    host->made = true;
    ramet_sigset mask = ramet_block_signals();
    call->mask = mask;
    long pid = ramet_clone(&asked, &entry);
    /* From here on `call` is the host thread's: it may have recovered the child already. */
    ramet_set_signal_mask(mask);
    return pid;
}

/* A host thread of the pool is as good as a new one, where the caller asks for nothing special. */
static bool may_be_any(const struct core_request *request)
{
    return request->fn == NULL && !request->own_interpreter && request->host_stack_size == 0 &&
           PyInterpreterState_Get() == PyInterpreterState_Main();
}

/*
 * Whether the host thread needs the GIL to prepare itself: an interpreter that is made imports modules, for which
 * the main interpreter may be needed; tracemalloc notes what is allocated; and a free-threaded Python may
 * stop the world for a new state.
 */
static bool prepares_with_gil(const struct core_request *request)
{
#ifdef Py_GIL_DISABLED
    (void)request;
    return true;
#else
    return request->own_interpreter || PyTraceMalloc_Untrack(0, 0) != TRACEMALLOC_IS_OFF;
#endif
}

static struct ramet_host *start(const struct core_request *request, bool again, struct core_hosted *call, int *error)
{
    if (request->own_interpreter)
        core_interpreter_being_made(1);
    PyThreadState *mine = prepares_with_gil(request) ? PyEval_SaveThread() : NULL;
    struct ramet_host *host =
        ramet_host_start((size_t)request->host_stack_size, request->stack, again, &callbacks, call, error);
    if (mine != NULL)
        PyEval_RestoreThread(mine);
    if (request->own_interpreter)
        core_interpreter_being_made(-1);
    return host;
}

static struct ramet_host *start_host(const struct core_request *request, bool again, int *error)
{
    struct core_hosted *call = calloc(1, sizeof *call + (ramet_dump_ends_sharers() ? sizeof *call->guard : 0));
    *error = ENOMEM;
    if (call == NULL)
        return NULL;
    call->interpreter = PyInterpreterState_Get();
    call->kind = &kind;
    if (request->own_interpreter) {
        call->kind = &core_subinterpreter_kind;
        call->own_interpreter = request->task;
        call->own = core_interpreter_take();
    }
    struct ramet_host *host = start(request, again, call, error);
    if (host == NULL) {
        if (call->own != NULL)
            core_interpreter_rest(call->own);
        free(call);
        return NULL;
    }
    call->host = call->threads.host = host;
    if (call->state != NULL)
        return host;
    ramet_host_dismiss(host);
    ramet_host_release(host);
    *error = ENOMEM;
    return NULL;
}

static struct ramet_host *find_host(const struct core_request *request, int *error)
{
    bool any = may_be_any(request);
    struct ramet_host *host = any ? ramet_pool_take() : NULL;
    return host != NULL ? host : start_host(request, any && ramet_owns_memory(), error);
}

static void fill_in(struct core_hosted *call, const struct core_request *request)
{
    call->clear_handlers = core_clears_handlers(request);
    call->guards_dumps = core_guards_dumps(request);
    call->owner = core_owner(request);
    call->is_process = !(request->kernel.args.flags & CLONE_THREAD);
    call->runs_task = request->fn == NULL;
    call->kept = Py_NewRef(call->runs_task ? (PyObject *)request->task : request->kept);
    call->stack = request->stack;
    call->finished = call->leaving = call->over = call->interrupted = call->begun = call->had_threads = call->killed_at_work = call->outlived = false;
    call->own_pid = 0;
    call->host->deadline = 0;
    call->host->expired = 0;
    if (!request->own_interpreter)
        core_table_enter(&call->table, call->state, request->kernel.args.flags);
}

long core_clone_hosted(struct core_request *request)
{
    int error;
    struct ramet_host *host = find_host(request, &error);
    if (host == NULL) {
        request->lacks = "host thread";
        return -error;
    }
    struct core_hosted *call = host->context;
    fill_in(call, request);
    ramet_nested_hosts_add(host);
    request->task->host = host;
    request->task->claim = host->over;
    long pid = make_child(request, call);
    if (pid < 0) {
        core_table_leave(&call->table);
        if (call->own_interpreter == NULL) /* else the host thread gives back what was lent */
            Py_CLEAR(call->kept);
        host->made = false;
        ramet_watched_leave(host->watched);
        host->watched = NULL;
        ramet_watched_drain(); /* it may have been started for this one */
        ramet_host_dismiss(host);
    } else if (request->timeout >= 0)
        ramet_host_set_deadline(host, request->task->claim, (int)pid, request->timeout);
    return pid;
}
