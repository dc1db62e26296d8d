/* VM without VFORK: the child goes on beside its caller, on what a host thread lends it. */
#include "clone_hosted.h"

#include <linux/sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "epoch.h"
#include "futex.h"
#include "gil.h"
#include "watched_children.h"
#include "safe_kill.h"
#include "nested_hosts.h"
#include "parent_death.h"
#include "host_pool.h"
#include "release.h"
#include "task_state.h"

/* clone3 takes a block, of which only the upper end matters here: libc's bounds guard the lower one. */
#define NOMINAL_STACK_BYTES 65536

#define TRACEMALLOC_IS_OFF (-2)

/*
 * Python asks for them when a state is first attached, under a lock of libc's on this very block: who
 * is killed there takes it along, and the recovering thread would wait for it.
 */
static void tell_bounds(PyThreadState *state)
{
    pthread_attr_t attr;
    void *base;
    size_t size, guard;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    if (pthread_attr_getstack(&attr, &base, &size) == 0 && pthread_attr_getguardsize(&attr, &guard) == 0) {
        const struct ramet_stack own = {.base = (uintptr_t)base + guard, .size = size - guard};
        core_set_stack_bounds(state, &own);
    }
    pthread_attr_destroy(&attr);
}

/* In the recovering thread's state, as Python's own modules make one: under tracemalloc it cannot be done in none. */
static void make_interpreter(struct hosted *call)
{
    PyEval_RestoreThread(call->recovering);
    call->own = core_interpreter_new(call->own_interpreter->fn);
    if (core_is_attached(call->recovering))
        PyEval_SaveThread();
}

static PyThreadState *state_for_child(struct hosted *call)
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
 * frames of the thread: and later these are the dead's. The child's is made last: an exception for a thread
 * goes to its newest state.
 */
static void prepare(void *context)
{
    struct hosted *call = context;
    call->recovering = PyThreadState_New(call->interpreter);
    call->state = call->recovering == NULL ? NULL : state_for_child(call);
    if (call->state == NULL || call->own_interpreter != NULL)
        return;
    core_note_state(call->state);
    tell_bounds(call->state);
}

static void look(void *context)
{
    struct hosted *call = context;
    call->found.frames = 0;
    if (call->finished)
        return;
    unsigned long top = call->stack == NULL ? call->host->stack_top : call->stack->base + call->stack->size;
    if (call->own_interpreter != NULL) {
        core_strike_off_dead(top);
        return;
    }
    core_keep_stack(&call->found.stack, top);
    core_look_at_frames(call->state, &call->found);
}

/* What is kept for a child that calls a function of the caller's is its task. */
static SharedTaskObject *task_of(const struct hosted *call)
{
    bool is_task = call->kept != NULL && Py_IS_TYPE(call->kept, &SharedTask_Type);
    return is_task ? (SharedTaskObject *)call->kept : NULL;
}

/* As the caller knows it, once that has noted it; else as the child does. */
static long pid_of(const struct hosted *call)
{
    const SharedTaskObject *task = task_of(call);
    return task == NULL || task->pid == 0 ? call->own_pid : task->pid;
}

/* The caller has noted it by the time that the GIL can be had. */
static void recover_threads(const struct hosted *call)
{
    core_recover_threads(pid_of(call));
}

static void lend_block(struct ramet_clone_args *args, const struct ramet_host *host)
{
    args->flags |= CLONE_SETTLS;
    args->tls = (uintptr_t)host->thread_pointer;
    if (args->stack + args->stack_size != 0)
        return;
    args->stack = host->stack_top - NOMINAL_STACK_BYTES;
    args->stack_size = NOMINAL_STACK_BYTES;
}

#define MOST_NESTED 64

static int run_give_up(void *state, void *unused, void *context)
{
    (void)unused, (void)context;
    if (core_is_attached(state))
        PyEval_SaveThread();
    return 0;
}

/* Which state is attached is written in a thread-local since 3.12: so a task must go where the dead one was. */
static void give_up_gil(const struct ramet_host *host, PyThreadState *state)
{
    struct ramet_request request = {.args.flags = CLONE_VM | CLONE_VFORK, .size = sizeof request.args};
    struct ramet_entry entry = {run_give_up, NULL, state, NULL, __NR_exit_group};
    lend_block(&request.args, host);
    ramet_sigset mask = ramet_block_signals();
    long pid = ramet_clone(&request, &entry);
    if (pid > 0)
        ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED | __WALL, NULL);
    ramet_set_signal_mask(mask);
    core_gil_release(state);
}

/* Of those whose host threads died with it: what is left of each, with the GIL. */
static void recover_orphan(struct ramet_host *host)
{
    struct hosted *call = host->context;
    core_recover(call->state, &call->found);
    core_delete_state(call->recovering);
    call->state = call->recovering = NULL;
    Py_CLEAR(call->early);
    core_table_abandon(&call->table);
    core_take_stock(&call->found, NULL, task_of(call), false);
    core_shared_task_forget(task_of(call));
    recover_threads(call);
    core_forget_thread_of(call->thread);
    Py_CLEAR(call->thread);
    Py_CLEAR(call->kept);
    ramet_host_mark_over(host);
}

/* The children of one, off their stacks, are added to the list; how many it has then. */
static int gather_orphans(struct ramet_host **orphans, int count, pid_t maker)
{
    while (count < MOST_NESTED && (orphans[count] = ramet_nested_hosts_take(maker)) != NULL) {
        const struct hosted *call = orphans[count]->context;
        look(orphans[count]->context);
        core_gil_mend(call->state, orphans[count]->tid);
        count++;
    }
    return count;
}

#define PATIENCE_NANOSECONDS INT64_C(10000000000)

/* It may have had the GIL as it ended the process: whoever wants the GIL waits for it then. pid: 0 for no process. */
static void release_gil_of_threads(const PyThreadState *mine, long pid)
{
    const struct timespec pause = {.tv_nsec = 500000};
    const int64_t deadline = ramet_now() + PATIENCE_NANOSECONDS;
    while (pid != 0) {
        bool all_have_ended = !ramet_task_threads_have_to_end(pid);
        if (core_gil_release_of_ended(mine) || all_have_ended || ramet_now() >= deadline)
            return;
        ramet_syscall2(__NR_nanosleep, &pause, NULL);
    }
}

int core_take_over(PyThreadState *dead, PyThreadState *mine, pid_t maker, long pid)
{
    struct ramet_host *orphans[MOST_NESTED];
    bool attached = dead != NULL && core_is_attached(dead);
    if (dead != NULL && !attached)
        core_gil_mend(dead, (int)ramet_syscall0(__NR_gettid));
    int count = gather_orphans(orphans, 0, maker);
    for (int i = 0; i < count; i++)
        count = gather_orphans(orphans, count, ((const struct hosted *)orphans[i]->context)->own_pid);
    if (attached) /* when they are off the count */
        core_gil_mend_after_holder(dead);
    for (int i = 0; i < count; i++)
        give_up_gil(orphans[i], ((const struct hosted *)orphans[i]->context)->state);
    if (dead != NULL && !attached)
        core_gil_release(dead);
    if (attached) {
        core_gil_forget_requests(dead);
        PyThreadState_Swap(mine);
        core_gil_forget_requests(mine);
    } else {
        release_gil_of_threads(mine, pid);
        for (int i = 0; i < count; i++)
            release_gil_of_threads(mine, ((const struct hosted *)orphans[i]->context)->own_pid);
        PyEval_RestoreThread(mine);
    }
    for (int i = 0; i < count; i++)
        recover_orphan(orphans[i]);
    return count;
}

/* Nobody has stopped its own children before they died: these may have been at work on what is its. */
static void release(struct core_release *release, struct hosted *call, int orphans)
{
    if (call->finished)
        return;
    if (call->stood_well && orphans == 0)
        core_release_take(release, call->state, &call->found, task_of(call));
    core_shared_task_forget(task_of(call));
}

/* In a state of the host thread's own, which is not needed afterwards. */
void core_tidy_up(struct hosted *call, PyThreadState *mine)
{
    Py_CLEAR(call->early);
    Py_CLEAR(call->kept);
    Py_CLEAR(call->thread);
    core_forget_thread();
    PyThreadState_Clear(mine);
    core_delete_current_state(mine);
    call->state = call->recovering = NULL;
}

static bool recover(void *context)
{
    struct hosted *call = context;
    if (call->own_interpreter != NULL) {
        core_recover_subinterpreter(call);
        return false;
    }
    PyThreadState *mine = call->recovering;
    core_note_state(mine);
    bool interrupted = call->state->async_exc != NULL;
    struct core_release released = {0};
    long pid = call->is_process && !call->finished ? pid_of(call) : 0;
    release(&released, call, core_take_over(call->state, mine, call->own_pid, pid));
    core_recover(call->state, &call->found);
    if (interrupted && PyThreadState_SetAsyncExc(mine->thread_id, PyExc_SystemExit) > 0)
        core_swallow_interrupt(mine);
    core_table_abandon(&call->table);
    call->found.was_at_work = call->killed_at_work;
    if (core_take_stock(&call->found, &released, task_of(call), true))
        call->host->must_not_end = true;
    core_release_finish(&released);
    if (call->is_process && !call->finished) {
        recover_threads(call);
        if (call->outlived)
            core_note_native_threads();
        else
            core_settle_native_threads(call->had_threads);
    }
    core_tidy_up(call, mine);
    if (!call->host->reusable || !call->finished || ramet_host_holds_mutex(call->host))
        return false;
    prepare(call);
    return call->state != NULL;
}

static void retire(void *context)
{
    struct hosted *call = context;
    if (call->own_interpreter != NULL && call->state != NULL) {
        PyEval_RestoreThread(call->state);
        core_retire_subinterpreter(call);
    } else if (call->recovering != NULL) {
        core_note_state(call->recovering);
        PyEval_RestoreThread(call->recovering);
        if (call->state != NULL)
            core_delete_state(call->state);
        core_tidy_up(call, call->recovering);
    }
}

#define TO_REST_NANOSECONDS INT64_C(1000000000)         /* of the processor's time that it gets */
#define LONGEST_TO_REST_NANOSECONDS INT64_C(5000000000) /* whatever it gets */
#define SHORT_TRIES 40                                  /* some 10 ms, in which it cannot go on in Python */
#define OTHERS_NANOSECONDS 2000000                      /* and then others can */

/* Whether it is still the one that had this claim of the host thread. Others run meanwhile, who may have waited for it. */
static bool lives_on(const struct ramet_host *host, int claim)
{
    const struct timespec pause = {.tv_nsec = OTHERS_NANOSECONDS};
    Py_BEGIN_ALLOW_THREADS
    ramet_syscall2(__NR_nanosleep, &pause, NULL);
    Py_END_ALLOW_THREADS
    return !ramet_host_is_over(host, claim);
}

/* The processor's time that a process has had; all there is where the kernel does not tell. */
static int64_t time_had(int pid)
{
    const clockid_t clock = (clockid_t)((~(unsigned)pid << 3) | 2); /* as clock_getcpuclockid(3) makes it */
    struct timespec had;
    return clock_gettime(clock, &had) < 0 ? INT64_MAX : had.tv_sec * INT64_C(1000000000) + had.tv_nsec;
}

/*
 * Native code that computes may hold a lock of its library's, which would stay held: so it is let come to a rest.
 * -EAGAIN: it has come to none.
 */
static long kill_at_rest(const struct ramet_host *host, int claim, int pid, int pidfd)
{
    int64_t had = time_had(pid), until = ramet_now() + LONGEST_TO_REST_NANOSECONDS;
    long error = ramet_kill_sharer_if_safe(pid, pidfd, core_strike_off, RAMET_KILL_TRIES);
    while (error == -EAGAIN && ramet_now() < until && time_had(pid) - had < TO_REST_NANOSECONDS) {
        if (!lives_on(host, claim))
            return -ESRCH;
        error = ramet_kill_sharer_if_safe(pid, pidfd, core_strike_off, SHORT_TRIES);
    }
    return error;
}

static long kill_carefully(struct ramet_host *host, int pid, int pidfd)
{
    struct hosted *call = host->context;
    int claim = __atomic_load_n(&host->over, __ATOMIC_ACQUIRE);
    call->had_threads = core_has_native_threads(pid);
    long error = kill_at_rest(host, claim, pid, pidfd);
    if (ramet_host_is_over(host, claim))
        return -ESRCH;
    bool stood_well = error == 0;
    if (error == -EAGAIN) {
        call->killed_at_work = true;
        error = ramet_kill_sharer(pid, pidfd, core_strike_off, &stood_well);
    }
    call->stood_well |= stood_well; /* before the recovering thread can have the GIL */
    return error;
}

long core_kill(struct ramet_host *host, int pid, int pidfd)
{
    const struct hosted *call = host == NULL ? NULL : host->context;
    if (call == NULL)
        return ramet_kill_sharer(pid, pidfd, core_strike_off, NULL);
    if (call->own_interpreter != NULL)
        return core_strike_subinterpreter(host->context, pid, pidfd) ? 0 : ramet_kill_sharer(pid, pidfd, core_strike_off, NULL);
    /* Its pid may be another's before this is done: somebody may wait for it meanwhile. */
    int own = pidfd < 0 ? (int)ramet_syscall2(__NR_pidfd_open, pid, 0) : -1;
    ramet_host_hold(host);
    long error = kill_carefully(host, pid, own >= 0 ? own : pidfd);
    ramet_host_release(host);
    if (own >= 0)
        ramet_syscall1(__NR_close, own);
    return error;
}

/* In a thread of its own, as another thread that kills: with the GIL, so that the child is not in the midst of an object. */
static void expire(void *context)
{
    struct hosted *call = context;
    struct ramet_host *host = call->host;
    PyThreadState *mine = PyThreadState_New(call->interpreter);
    if (mine == NULL)
        return; /* the host thread will do it */
    PyEval_RestoreThread(mine);
    if (host->deadline != 0 && ramet_now() >= host->deadline && !call->leaving &&
        !__atomic_exchange_n(&host->expired, 1, __ATOMIC_ACQ_REL))
        core_kill(host, host->child, -1);
    PyThreadState_Clear(mine);
    PyThreadState_DeleteCurrent();
}

/* With an interpreter of its own it may need what is the caller's for an import. */
static bool blocks_expire(void *context)
{
    const struct hosted *call = context;
    return call->own_interpreter != NULL || core_gil_is_with(call->state);
}

static const struct ramet_host_callbacks callbacks = {prepare, look, recover, retire, expire, blocks_expire};

void core_settle(struct hosted *call)
{
    const struct ramet_host *host = call->host;
    call->own_pid = (pid_t)ramet_syscall0(__NR_getpid);
    core_table_settle(&call->table, call->own_pid);
    if (host->settid_word != NULL)
        *host->settid_word = (int)ramet_syscall0(__NR_gettid);
    if (call->clear_handlers)
        ramet_clear_handlers();
    if (call->owner != 0)
        ramet_die_with_process(call->owner);
    ramet_set_signal_mask(call->mask);
}

/* The last of Python in this child. Whether there is anything to recover. */
static bool leave_python(struct hosted *call)
{
    call->leaving = true;
    core_swallow_interrupt(call->state);
    Py_CLEAR(call->kept);
    core_forget_thread();
    bool tidy = call->host->reusable && core_is_tidy(call->state) && !ramet_host_holds_mutex(call->host) &&
                !(call->is_process && ramet_nested_hosts_any());
    PyEval_SaveThread();
    call->finished = true;
    return !tidy;
}

static int run_task(void *task, void *arg, void *context)
{
    struct hosted *call = context;
    (void)arg;
    core_settle(call);
    PyEval_RestoreThread(call->state);
    core_name_thread(&call->thread);
    call->begun = true;
    int code = core_run_task(task, call->early);
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
    struct hosted *call = context;
    core_settle(call);
    core_set_stack_bounds(call->state, call->stack);
    PyEval_RestoreThread(call->state);
    int code = core_invoke(fn, arg);
    core_table_close(&call->table, NULL);
    leave_python(call);
    return code;
}

static int run_native(void *fn, void *arg, void *context)
{
    core_settle(context);
    return ((int (*)(void *))fn)(arg);
}

/* The kernel has one word for each task, and the host thread needs it: the caller's words are served by hand. */
static void take_over_words(struct ramet_clone_args *args, struct ramet_host *host)
{
    int *word = (int *)(uintptr_t)args->child_tid;
    if (args->flags & CLONE_CHILD_SETTID)
        host->settid_word = word;
    if (args->flags & CLONE_CHILD_CLEARTID)
        host->cleartid_word = word;
    args->flags &= ~(uint64_t)CLONE_CHILD_SETTID;
    args->flags |= CLONE_CHILD_CLEARTID;
    args->child_tid = (uintptr_t)host->word;
}

static void hold_words(const struct core_birth *birth, struct ramet_host *host)
{
    for (int i = 0; i < 2; i++)
        if (birth->words[i] != NULL)
            host->words[i] = ramet_word_hold(birth->words[i]);
}

static struct ramet_entry entry_of(const struct core_birth *birth, struct hosted *call)
{
    struct ramet_entry entry = {run_python, call, birth->fn, birth->arg, core_exit_call(birth)};
    if (birth->native)
        entry.run = run_native;
    else if (birth->fn == NULL) {
        entry.run = birth->own_interpreter ? core_run_subinterpreter : run_task;
        entry.fn = birth->task;
    }
    return entry;
}

static long give_birth(struct core_birth *birth, struct hosted *call)
{
    struct ramet_host *host = call->host;
    struct ramet_request request = birth->request;
    take_over_words(&request.args, host);
    lend_block(&request.args, host);
    hold_words(birth, host);
    long error = core_watch(birth, &request.args, &host->watched);
    if (error < 0)
        return error;
    struct ramet_entry entry = entry_of(birth, call);
    host->made = true;
    ramet_sigset mask = ramet_block_signals();
    call->mask = mask;
    long pid = ramet_clone(&request, &entry);
    /* From here on `call` is the host thread's: it may have recovered the child already. */
    ramet_set_signal_mask(mask);
    return pid;
}

/* One that nobody can tell from a thread just made will do, where the caller asks for nothing special. */
static bool may_be_any(const struct core_birth *birth)
{
    return birth->fn == NULL && !birth->own_interpreter && birth->host_stack_size == 0 &&
           PyInterpreterState_Get() == PyInterpreterState_Main();
}

/*
 * Whether the host thread needs the GIL to prepare itself: an interpreter that is made imports modules, for which
 * the main interpreter may be needed; tracemalloc notes what is allocated; and a free-threaded Python may
 * stop the world for a new state.
 */
static bool prepares_with_gil(const struct core_birth *birth)
{
#ifdef Py_GIL_DISABLED
    (void)birth;
    return true;
#else
    return birth->own_interpreter || PyTraceMalloc_Untrack(0, 0) != TRACEMALLOC_IS_OFF;
#endif
}

static struct ramet_host *start(const struct core_birth *birth, bool again, struct hosted *call, int *error)
{
    if (birth->own_interpreter)
        core_interpreter_making(1);
    PyThreadState *mine = prepares_with_gil(birth) ? PyEval_SaveThread() : NULL;
    struct ramet_host *host =
        ramet_host_start((size_t)birth->host_stack_size, birth->stack, again, &callbacks, call, error);
    if (mine != NULL)
        PyEval_RestoreThread(mine);
    if (birth->own_interpreter)
        core_interpreter_making(-1);
    return host;
}

static struct ramet_host *start_host(const struct core_birth *birth, bool again, int *error)
{
    struct hosted *call = calloc(1, sizeof *call);
    *error = ENOMEM;
    if (call == NULL)
        return NULL;
    call->interpreter = PyInterpreterState_Get();
    if (birth->own_interpreter) {
        call->own_interpreter = birth->task;
        call->own = core_interpreter_take();
    }
    struct ramet_host *host = start(birth, again, call, error);
    if (host == NULL) {
        if (call->own != NULL)
            core_interpreter_rest(call->own);
        free(call);
        return NULL;
    }
    call->host = call->visits.host = host;
    if (call->state != NULL)
        return host;
    ramet_host_dismiss(host);
    ramet_host_release(host);
    *error = ENOMEM;
    return NULL;
}

static struct ramet_host *find_host(const struct core_birth *birth, int *error)
{
    bool any = may_be_any(birth);
    struct ramet_host *host = any ? ramet_pool_take() : NULL;
    return host != NULL ? host : start_host(birth, any && ramet_owns_memory(), error);
}

static void fill_in(struct hosted *call, const struct core_birth *birth)
{
    call->clear_handlers = core_clears_handlers(birth);
    call->owner = core_owner(birth);
    call->is_process = !(birth->request.args.flags & CLONE_THREAD);
    call->kept = Py_NewRef(birth->fn == NULL ? (PyObject *)birth->task : birth->kept);
    call->stack = birth->stack;
    call->finished = call->leaving = call->begun = call->had_threads = call->killed_at_work = call->outlived = false;
    call->host->deadline = 0;
    call->host->expired = 0;
    if (!birth->own_interpreter)
        core_table_enter(&call->table, call->state, birth->request.args.flags);
}

bool core_has_own_interpreter(const struct ramet_host *host)
{
    const struct hosted *call = host->context;
    return call->own_interpreter != NULL;
}

bool core_interrupt(const struct ramet_host *host, PyObject *exception)
{
    struct hosted *call = host->context;
    if (call->own_interpreter != NULL)
        return core_interrupt_subinterpreter(call, exception);
    if (call->leaving)
        return false;
    if (call->begun)
        return PyThreadState_SetAsyncExc(call->state->thread_id, exception) > 0;
    Py_XSETREF(call->early, Py_NewRef(exception)); /* what runs before the function would swallow it */
    return true;
}

long core_birth_carried(struct core_birth *birth)
{
    int error;
    struct ramet_host *host = find_host(birth, &error);
    if (host == NULL) {
        birth->lacks = "host thread";
        return -error;
    }
    struct hosted *call = host->context;
    fill_in(call, birth);
    ramet_nested_hosts_add(host);
    birth->task->host = host;
    birth->task->claim = host->over;
    long pid = give_birth(birth, call);
    if (pid < 0) {
        core_table_leave(&call->table);
        if (call->own_interpreter == NULL) /* else the host thread gives back what was lent */
            Py_CLEAR(call->kept);
        host->made = false;
        ramet_watched_leave(host->watched);
        host->watched = NULL;
        ramet_watched_drain(); /* it may have been started for this one */
        ramet_host_dismiss(host);
    } else if (birth->timeout >= 0)
        ramet_host_set_deadline(host, birth->task->claim, (int)pid, birth->timeout);
    return pid;
}
