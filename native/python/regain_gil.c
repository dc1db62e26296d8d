/* In the thread that lent its block: the GIL, after the end of the child, and what the child's own hosted children left. */
#include "regain_gil.h"

#include <linux/sched.h>
#include <sys/wait.h>

#include "dumpable.h"
#include "futex.h"
#include "hosted_child.h"
#include "nested_hosts.h"
#include "proc_file.h"
#include "safe_kill.h"
#include "suspended_callers.h"
#include "task_state.h"

#define PATIENCE_NANOSECONDS INT64_C(10000000000)

static int detach(void *dead, void *unused, void *context)
{
    const struct core_hosted *call = context;
    (void)dead, (void)unused;
    if ((call->state != NULL && core_is_attached(call->state)) || core_attached_of_suspended(&call->table) != NULL)
        PyEval_SaveThread();
    return 0;
}

/* Which state is attached is written in a thread-local since 3.12: so a task must go where the dead one was. */
static void give_up_gil(const struct ramet_host *host)
{
    struct core_hosted *call = host->context;
    if (call->state == NULL) /* it has, as a child that is recovered */
        return;
    struct ramet_request request = {.args.flags = CLONE_VM | CLONE_VFORK, .size = sizeof request.args};
    struct ramet_entry entry = {detach, host->context, NULL, NULL, __NR_exit_group};
    core_lend_block(&request.args, host);
    ramet_sigset mask = ramet_block_signals();
    long pid = ramet_clone(&request, &entry);
    if (pid > 0)
        ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED | __WALL, NULL);
    ramet_set_signal_mask(mask);
    core_gil_release(call->state);
    core_release_gil_of_suspended(&call->table);
}

/* A child whose host thread died with its maker; with the GIL. */
static void recover_nested(struct ramet_host *host)
{
    struct core_hosted *call = host->context;
    if (call->state != NULL) /* else its host thread has, and died after that */
        core_recover(call->state, &call->found);
    if (call->recovering != NULL)
        core_delete_state(call->recovering);
    call->state = call->recovering = NULL;
    Py_CLEAR(call->early);
    core_recover_suspended(&call->table);
    core_table_abandon(&call->table);
    core_take_stock(&call->found, NULL, core_task_of(call), false);
    core_shared_task_forget(core_task_of(call));
    core_recover_threads(core_pid_of(call));
    core_forget_thread_of(call->thread);
    Py_CLEAR(call->thread);
    Py_CLEAR(call->kept);
    ramet_host_mark_over(host);
}

/* The host threads of dead processes, in the order in which they were found. They are in no pool, whose link this is. */
struct nested {
    struct ramet_link *first, **end;
    int count;
};

static struct ramet_host *host_of(struct ramet_link *link)
{
    return (struct ramet_host *)link;
}

static const struct core_hosted *call_of(struct ramet_link *link)
{
    return host_of(link)->context;
}

static void add(struct nested *nested, struct ramet_host *host)
{
    host->link.next = NULL;
    *nested->end = &host->link;
    nested->end = &host->link.next;
    nested->count++;
}

/* One that has run nothing yet has asked for no signal at the end of its maker. */
static void kill_newborn(const struct ramet_host *host)
{
    const struct core_hosted *call = host->context;
    const int *told = call->table.told;
    const int pid = told == NULL || call->own_pid != 0 ? 0 : __atomic_load_n(told, __ATOMIC_ACQUIRE);
    if (pid > 0)
        ramet_kill_in_memory(pid, host->word);
}

/* Adds the hosted children of one process. */
static void gather_nested(struct nested *nested, pid_t maker, const PyThreadState *mine)
{
    for (struct ramet_host *host; (host = ramet_nested_hosts_take(maker, kill_newborn)) != NULL; add(nested, host)) {
        struct core_hosted *call = host->context;
        core_look_at_hosted(call);
        core_gil_mend(call->state != NULL ? call->state : mine, host->tid);
        ramet_dumpable_abandon(call->own_pid);
    }
}

/* The same with those of the processes that had suspended it, and of theirs. */
static void gather_below(struct nested *nested, pid_t maker, const struct core_table_user *process, const PyThreadState *mine)
{
    gather_nested(nested, maker, mine);
    for (const struct core_suspended *each = process->suspended; each != NULL; each = each->next)
        if (each->table.pid != 0)
            gather_below(nested, each->table.pid, &each->table, mine);
}

/* A thread of the dead process may have had the GIL, for which every other thread waits then. pid: 0 for no process. */
static void release_gil_of_threads(const PyThreadState *mine, long pid)
{
    const int64_t deadline = ramet_now() + PATIENCE_NANOSECONDS;
    while (pid != 0) {
        bool all_have_ended = !ramet_task_threads_have_to_end(ramet_proc_number_of_process(pid, -1));
        if (core_gil_release_of_ended(mine) || all_have_ended || ramet_now() >= deadline)
            return;
        ramet_pause(RAMET_MILLISECOND / 2);
    }
}

int core_regain_gil(PyThreadState *dead, PyThreadState *mine, pid_t maker, long pid, struct core_table_user *process)
{
    struct nested nested = {.end = &nested.first};
    PyThreadState *attached = dead != NULL && core_is_attached(dead) ? dead : core_attached_of_suspended(process);
    if (pid != 0)
        ramet_dumpable_abandon(maker);
    if (dead != NULL && attached == NULL)
        core_gil_mend(dead, (int)ramet_syscall0(__NR_gettid));
    gather_below(&nested, maker, process, mine);
    for (struct ramet_link *each = nested.first; each != NULL; each = each->next)
        gather_below(&nested, call_of(each)->own_pid, &call_of(each)->table, mine);
    if (attached != NULL) /* they count as waiters before */
        core_gil_mend_after_holder(attached);
    for (struct ramet_link *each = nested.first; each != NULL; each = each->next)
        give_up_gil(host_of(each));
    if (attached != NULL) {
        core_gil_forget_requests(attached);
        PyThreadState_Swap(mine);
        core_gil_forget_requests(mine);
    } else {
        if (dead != NULL)
            core_gil_release(dead);
        core_release_gil_of_suspended(process);
        release_gil_of_threads(mine, pid);
        for (struct ramet_link *each = nested.first; each != NULL; each = each->next)
            release_gil_of_threads(mine, call_of(each)->own_pid);
        PyEval_RestoreThread(mine);
    }
    for (struct ramet_link *each = nested.first, *next; each != NULL; each = next) {
        next = each->next; /* which goes with it */
        recover_nested(host_of(each));
    }
    return nested.count + core_recover_suspended(process);
}
