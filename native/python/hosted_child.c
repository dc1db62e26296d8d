/* What there is to do for a hosted child, whichever interpreter it has. */
#include "hosted_child.h"

#include <linux/sched.h>

#include "parent_death.h"
#include "suspended_callers.h"

/* clone3 takes a block, of which only the upper end matters here: libc's bounds guard the lower one. */
#define NOMINAL_STACK_BYTES 65536

void core_look_at_hosted(struct core_hosted *call)
{
    call->found.frames = 0;
    core_look_at_suspended(&call->table);
    if (call->finished || call->state == NULL)
        return;
    if (call->guards_dumps)
        ramet_restore_after_dump(call->guard);
    unsigned long top = call->stack == NULL ? call->host->stack_top : call->stack->base + call->stack->size;
    if (call->own_interpreter != NULL) {
        core_wake_waiters_of_dead(top);
        return;
    }
    core_keep_stack(&call->found.stack, top);
    core_look_at_frames(call->state, &call->found);
}

SharedTaskObject *core_task_of(const struct core_hosted *call)
{
    return call->runs_task ? (SharedTaskObject *)call->kept : NULL;
}

long core_pid_of(const struct core_hosted *call)
{
    const SharedTaskObject *task = core_task_of(call);
    return task == NULL || task->pid == 0 ? call->own_pid : task->pid;
}

void core_lend_block(struct ramet_clone_args *args, const struct ramet_host *host)
{
    ramet_set_address(args, CLONE_SETTLS, host->thread_pointer);
    if (args->stack + args->stack_size != 0)
        return;
    args->stack = host->stack_top - NOMINAL_STACK_BYTES;
    args->stack_size = NOMINAL_STACK_BYTES;
}

void core_clean_up(struct core_hosted *call, PyThreadState *mine)
{
    Py_CLEAR(call->early);
    Py_CLEAR(call->kept);
    Py_CLEAR(call->thread);
    core_forget_thread();
    call->state = call->recovering = NULL; /* first: this thread may die with its process, and another recovers its child */
    PyThreadState_Clear(mine);
    core_delete_current_state(mine);
}

void core_set_up_child(struct core_hosted *call)
{
    const struct ramet_host *host = call->host;
    call->own_pid = (pid_t)ramet_syscall0(__NR_getpid);
    core_table_set_up(&call->table, call->own_pid);
    if (host->settid_word != NULL)
        *host->settid_word = (int)ramet_syscall0(__NR_gettid);
    if (call->clear_handlers)
        ramet_clear_handlers();
    if (call->guards_dumps)
        ramet_guard_dumps(call->guard);
    if (call->owner != 0)
        ramet_die_with_process(call->owner);
    ramet_set_signal_mask(call->mask);
}
