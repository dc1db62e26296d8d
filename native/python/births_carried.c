/* VM without VFORK: the child goes on beside its caller, on what a carrier lends it. */
#include "births.h"

#include <linux/sched.h>
#include <unistd.h>

#include "orphan.h"

/* clone3 takes a block, of which only the upper end matters here: libc's bounds guard the lower one. */
#define NOMINAL_STACK_BYTES 65536

/* What the child is given, and what its undertaker finds. */
struct carried {
    PyInterpreterState *interpreter;
    PyThreadState *state;
    PyObject *kept; /* what fn and arg live in; NULL once the child has let go of it */
    ramet_sigset mask;
    bool clear_handlers;
    pid_t owner;
    struct ramet_carrier *carrier;
    const struct ramet_stack *stack; /* NULL: the carrier's own */
};

/* Made by the carrier, not by the child: a child killed within would leave the list of states locked. */
static void prepare(void *context)
{
    struct carried *call = context;
    call->state = PyThreadState_New(call->interpreter);
}

static void bury(void *context)
{
    struct carried *call = context;
    if (call->state != NULL) {
        if (!core_is_attached(call->state))
            PyEval_RestoreThread(call->state);
        Py_CLEAR(call->kept);
        core_bury(call->state);
    }
    PyMem_RawFree(call);
}

static const struct ramet_carrier_duties duties = {prepare, bury};

static void settle(const struct carried *call)
{
    if (call->carrier->settid_word != NULL)
        *call->carrier->settid_word = (int)ramet_syscall0(__NR_gettid);
    if (call->clear_handlers)
        ramet_clear_handlers();
    if (call->owner != 0)
        ramet_die_with(call->owner);
    ramet_set_signal_mask(call->mask);
}

static int run_python(void *fn, void *arg, void *context)
{
    struct carried *call = context;
    settle(call);
    core_set_stack_bounds(call->state, call->stack);
    PyEval_RestoreThread(call->state);
    int code = core_invoke(fn, arg);
    Py_CLEAR(call->kept);
    PyEval_SaveThread();
    return code;
}

static int run_native(void *fn, void *arg, void *context)
{
    settle(context);
    return ((int (*)(void *))fn)(arg);
}

static struct carried *carried_new(const struct core_birth *birth)
{
    struct carried *call = PyMem_RawCalloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->interpreter = PyInterpreterState_Get();
    call->clear_handlers = core_clears_handlers(birth);
    call->owner = core_owner(birth);
    call->kept = Py_NewRef(birth->kept);
    call->stack = birth->stack;
    return call;
}

/* The kernel has one word for each task, and the carrier needs it: the caller's words are served by hand. */
static void take_over_words(struct ramet_clone_args *args, struct ramet_carrier *carrier)
{
    int *word = (int *)(uintptr_t)args->child_tid;
    if (args->flags & CLONE_CHILD_SETTID)
        carrier->settid_word = word;
    if (args->flags & CLONE_CHILD_CLEARTID)
        carrier->cleartid_word = word;
    args->flags &= ~(uint64_t)CLONE_CHILD_SETTID;
    args->flags |= CLONE_CHILD_CLEARTID;
    args->child_tid = (uintptr_t)carrier->word;
}

static void lend_block(struct ramet_clone_args *args, const struct ramet_carrier *carrier)
{
    args->flags |= CLONE_SETTLS;
    args->tls = (uintptr_t)carrier->thread_pointer;
    if (args->stack + args->stack_size != 0)
        return;
    args->stack = carrier->stack_top - NOMINAL_STACK_BYTES;
    args->stack_size = NOMINAL_STACK_BYTES;
}

static void hold_words(const struct core_birth *birth, struct ramet_carrier *carrier)
{
    for (int i = 0; i < 2; i++)
        if (birth->words[i] != NULL)
            carrier->words[i] = ramet_word_hold(birth->words[i]);
}

static long give_birth(struct core_birth *birth, struct carried *call)
{
    struct ramet_carrier *carrier = call->carrier;
    struct ramet_request request = birth->request;
    take_over_words(&request.args, carrier);
    lend_block(&request.args, carrier);
    hold_words(birth, carrier);
    struct ramet_entry entry = {birth->native ? run_native : run_python, call, birth->fn, birth->arg,
                                core_exit_call(birth)};
    carrier->born = true;
    ramet_sigset mask = ramet_block_signals();
    call->mask = mask;
    long pid = ramet_birth(&request, &entry);
    /* From here on `call` is the carrier's: it may have buried the child already. */
    ramet_set_signal_mask(mask);
    if (pid < 0) {
        carrier->born = false;
        ramet_carrier_dismiss(carrier);
    }
    return pid;
}

/* NULL with an exception set on failure; the call is then gone. */
static struct ramet_carrier *start_carrier(struct carried *call, const struct core_birth *birth)
{
    int error = 0;
    struct ramet_carrier *carrier =
        ramet_carrier_start((size_t)birth->carrier_stack_size, birth->stack, &duties, call, &error);
    if (carrier == NULL) {
        Py_CLEAR(call->kept);
        PyMem_RawFree(call);
        core_raise_errno(-error);
        return NULL;
    }
    if (call->state == NULL) {
        Py_CLEAR(call->kept);
        ramet_carrier_dismiss(carrier);
        ramet_carrier_release(carrier);
        PyErr_NoMemory();
        return NULL;
    }
    call->carrier = carrier;
    return carrier;
}

PyObject *core_birth_carried(struct core_birth *birth)
{
    struct carried *call = carried_new(birth);
    if (call == NULL)
        return PyErr_NoMemory();
    struct ramet_carrier *carrier = start_carrier(call, birth);
    if (carrier == NULL)
        return NULL;
    PyObject *task = core_shared_task_new(carrier);
    if (task == NULL) {
        ramet_carrier_dismiss(carrier);
        ramet_carrier_release(carrier);
        return NULL;
    }
    long pid = give_birth(birth, call);
    if (pid < 0) {
        Py_DECREF(task);
        return core_raise_errno(pid);
    }
    return Py_BuildValue("lN", pid, task);
}
