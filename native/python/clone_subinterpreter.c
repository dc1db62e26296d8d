/*
 * A hosted child with an interpreter, and a GIL, of its own. Nothing here has both GILs: what the
 * child sees of its caller is memory that is lent to it, and its code, which are only read.
 */
#include "clone_subinterpreter.h"

#include "dumpable.h"
#include "futex.h"
#include "safe_kill.h"
#include "plan_object.h"

/* For how long a killer waits until the child gives its GIL up: as long as a host thread does for its deadline. */
#define PATIENCE INT64_C(200000000)

enum { NOT_KILLED, KILLING, KILLED };

/* With the GIL of the child's own interpreter, whose objects the state refers to. Nothing of Python runs in this child afterwards. */
static void leave_subinterpreter(struct core_hosted *call)
{
    __atomic_store_n(&call->leaving, true, __ATOMIC_RELEASE);
    core_swallow_interrupt(call->state);
    PyThreadState_Clear(call->state);
    PyEval_SaveThread();
    call->finished = true;
}

int core_run_subinterpreter(void *task, void *arg, void *context)
{
    struct core_hosted *call = context;
    const PlanObject *plan = (PlanObject *)call->own_interpreter->plan;
    int failed_step = -1, error = 0;
    (void)arg;
    core_set_up_child(call);
    if (plan != NULL && !core_do_plan(plan->plan, &failed_step, &error))
        return 1;
    PyEval_RestoreThread(call->state);
    int code = core_interpreter_run(call->own, task, failed_step, error, &call->lent);
    if (core_is_alone())
        leave_subinterpreter(call);
    return code; /* else its daemon threads end with it, and it keeps the GIL: so that none dies with it */
}

/* An import in a subinterpreter may run in the main interpreter for a moment, in a state made for it. */
static void delete_strays(PyThreadState *mine)
{
    PyThreadState *next;
    for (PyThreadState *state = PyInterpreterState_ThreadHead(mine->interp); state != NULL; state = next) {
        next = PyThreadState_Next(state);
        if (state != mine && state->thread_id == mine->thread_id)
            core_delete_state(state);
    }
}

/* The child is gone, and its GIL with it, unless it is this thread's now. */
void core_recover_subinterpreter(struct core_hosted *call)
{
    PyThreadState *mine = call->recovering;
    if (!call->finished)
        ramet_dumpable_abandon(call->own_pid);
    if (core_is_attached(NULL))
        PyEval_RestoreThread(mine);
    else
        PyThreadState_Swap(mine);
    delete_strays(mine);
    call->closed = true;
    PyEval_SaveThread();
    bool all_ended = core_await_interpreter_threads(&call->threads);
    if (call->finished)
        PyThreadState_Delete(call->state);
    PyEval_RestoreThread(mine);
    if (call->finished && !call->lent)
        core_interpreter_rest(call->own);
    else if (all_ended)
        core_interpreter_drop(call->own);
    core_shared_task_release(call->own_interpreter);
    core_clean_up(call, mine);
}

/* No child has had the host thread, or the clone call was refused. */
void core_discard_subinterpreter(struct core_hosted *call)
{
    leave_subinterpreter(call);
    core_recover_subinterpreter(call);
}

/* Which children run Python is listed under the caller's GIL, which the thread that kills does not have: so it looks for none. */
static const struct ramet_sharers known = {core_remove_waiter, NULL};

static void kill_child(void *context)
{
    struct core_hosted *call = context;
    int not_yet = NOT_KILLED;
    if (!__atomic_compare_exchange_n(&call->killed, &not_yet, KILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    ramet_kill_sharer(call->pid, call->pidfd, &known, NULL);
    __atomic_store_n(&call->killed, KILLED, __ATOMIC_RELEASE);
    ramet_futex_wake(&call->killed);
}

/* For the thread that kills it, which waits for the child's GIL; then without, if the child never gives it up. */
static void wait_for_kill(struct core_hosted *call)
{
    int64_t until = ramet_now() + PATIENCE, left;
    while (__atomic_load_n(&call->killed, __ATOMIC_ACQUIRE) == NOT_KILLED && (left = until - ramet_now()) > 0)
        ramet_futex_wait_while(&call->killed, NOT_KILLED, left);
}

/*
 * The caller keeps its own GIL meanwhile, which the child may take for an import; and another thread takes
 * the child's. A child that never gives it up is killed without: its interpreter is not used again.
 */
static long kill_subinterpreter(struct core_hosted *call, int pid, int pidfd)
{
    if (call->closed)
        return ramet_kill_sharer(pid, pidfd, &known, NULL);
    call->pid = pid;
    call->pidfd = pidfd;
    if (call->killed == NOT_KILLED && core_run_in_interpreter(&call->threads, call->own, kill_child, call))
        wait_for_kill(call);
    kill_child(call);
    while (__atomic_load_n(&call->killed, __ATOMIC_ACQUIRE) == KILLING)
        ramet_futex_wait(&call->killed, KILLING, NULL);
    return 0;
}

/* An exception on its way into another interpreter. */
struct interrupting {
    struct core_hosted *call;
    PyObject *exception;
};

static void interrupt(void *context)
{
    struct interrupting interrupting = *(struct interrupting *)context;
    struct core_hosted *call = interrupting.call;
    PyObject *exception = interrupting.exception == Py_None ? call->own->interrupted : interrupting.exception;
    PyMem_RawFree(context);
    if (!call->leaving)
        PyThreadState_SetAsyncExc(call->state->thread_id, exception);
}

static bool interrupt_subinterpreter(struct core_hosted *call, PyObject *exception)
{
    if (call->leaving || call->closed)
        return false;
    struct interrupting *interrupting = PyMem_RawMalloc(sizeof *interrupting);
    if (interrupting == NULL)
        return false;
    *interrupting = (struct interrupting){call, exception};
    if (core_run_in_interpreter(&call->threads, call->own, interrupt, interrupting))
        return true;
    PyMem_RawFree(interrupting);
    return false;
}

const struct core_hosted_kind core_subinterpreter_kind = {kill_subinterpreter, interrupt_subinterpreter};
