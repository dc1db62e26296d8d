/* A caller is noted with the process that it is a task of: so who recovers a process has those that it left, and no others. */
#include "suspended_callers.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>

#include "clone_ways.h"
#include "epoch.h"
#include "futex.h"
#include "safe_kill.h"

#define PATIENCE (10 * RAMET_SECOND) /* for the end of a child whose caller has ended */
#define PAUSE (10 * RAMET_MILLISECOND)

/* Those of the process that owns the memory. A fork copies no threads. */
static struct core_suspended **of_owner;

static void __attribute__((constructor)) map_of_owner(void)
{
    static struct core_suspended *of_all;
    of_owner = ramet_wiped_on_fork(sizeof *of_owner);
    if (of_owner == NULL)
        of_owner = &of_all;
}

/* NULL: which process this is is not known. */
static struct core_suspended **own_list(void)
{
    if (ramet_owns_memory())
        return of_owner;
    struct core_table_user *user = core_own_table_user();
    return user == NULL ? NULL : &user->suspended;
}

void core_suspend(struct core_suspended *caller, const struct core_request *request, struct ramet_clone_args *args, int *watched)
{
    caller->task = request->fn == NULL ? request->task : NULL;
    caller->is_thread = (args->flags & CLONE_THREAD) != 0;
    caller->pid = watched == NULL ? &caller->told : watched;
    if (watched == NULL && !(args->flags & CLONE_PARENT_SETTID) && !request->kernel.legacy) /* clone() may write a pidfd there */
        ramet_set_address(args, CLONE_PARENT_SETTID, &caller->told);
    caller->table.told = caller->is_thread ? NULL : caller->pid;
    if (!ramet_owns_memory() && !(args->flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))) {
        caller->in_memory = 1;
        ramet_set_address(args, CLONE_CHILD_CLEARTID, &caller->in_memory);
    }
    caller->list = own_list();
    if (caller->list == NULL)
        return;
    caller->next = *caller->list;
    *caller->list = caller;
}

void core_resume(struct core_suspended *caller)
{
    struct core_suspended **link = caller->list;
    while (link != NULL && *link != NULL && *link != caller)
        link = &(*link)->next;
    if (link != NULL && *link != NULL)
        *link = caller->next;
}

/* ---- the end of the interpreter */

static bool has_gone_on(const struct core_suspended *caller)
{
    return __atomic_load_n(&caller->goes_on, __ATOMIC_ACQUIRE);
}

static int pid_of_child(const struct core_suspended *caller)
{
    int pid = __atomic_load_n(caller->pid, __ATOMIC_ACQUIRE);
    return pid > 0 ? pid : 0;
}

/* Its caller reaps it, but for that goes on first: while it has not, the pid is no other's. */
static void kill_child(const struct core_suspended *caller)
{
    int pid = caller->is_thread || has_gone_on(caller) ? 0 : pid_of_child(caller);
    int pidfd = pid > 0 ? (int)ramet_syscall2(__NR_pidfd_open, pid, 0) : -1;
    if (pid > 0 && !has_gone_on(caller))
        ramet_kill_sharer(pid, pidfd, &core_sharers, NULL);
    if (pidfd >= 0)
        ramet_syscall1(__NR_close, pidfd);
}

void core_kill_suspending(void)
{
    for (const struct core_suspended *each = *of_owner; each != NULL; each = each->next)
        kill_child(each);
}

/* ---- the death of a process */

static bool may_be_in_memory(struct core_suspended *caller)
{
    return !has_gone_on(caller) && pid_of_child(caller) > 0 && __atomic_load_n(&caller->in_memory, __ATOMIC_ACQUIRE) != 0;
}

static bool leaves_memory(struct core_suspended *caller)
{
    int64_t deadline = ramet_now() + PATIENCE;
    while (may_be_in_memory(caller) && ramet_now() < deadline)
        ramet_futex_wait_while(&caller->in_memory, 1, PAUSE);
    return !may_be_in_memory(caller);
}

/*
 * A signal that tells of its caller's end waits as long as it is suspended by a child of its own, which sees its own caller living;
 * and who has run nothing yet has asked for none. In another pid namespace the pid is another's, who does not share this memory.
 */
static void kill_suspended(struct core_suspended *caller)
{
    const bool is_told_of_end = caller->table.pid != 0 && caller->table.suspended == NULL;
    const int pid = caller->is_thread || is_told_of_end ? 0 : pid_of_child(caller);
    if (pid > 0)
        ramet_kill_in_memory(pid, &caller->in_memory);
}

static struct core_dead_frames *map_found(void)
{
    long block = ramet_syscall6(__NR_mmap, 0, sizeof(struct core_dead_frames), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block < 0 && block > -4096 ? NULL : (struct core_dead_frames *)block;
}

/* When it has left its stack, which it shares with who suspends it. */
static void await_end(struct core_suspended *caller)
{
    caller->found = leaves_memory(caller) ? map_found() : NULL;
}

static void look_at(struct core_suspended *caller)
{
    if (caller->found == NULL || caller->state == NULL)
        return;
    core_keep_stack(&caller->found->stack, caller->stack_top);
    core_look_at_frames(caller->state, caller->found);
}

/* On a small stack: of what suspends what suspends..., however deep, it calls itself for none that is the last of its process's. */
static void each_below(struct core_table_user *process, void (*visit)(struct core_suspended *caller))
{
    for (struct core_suspended *each = process->suspended, *next; each != NULL; each = next) {
        visit(each);
        next = each->next;
        if (next == NULL)
            next = each->table.suspended;
        else
            each_below(&each->table, visit);
    }
}

void core_look_at_suspended(struct core_table_user *process)
{
    each_below(process, kill_suspended);
    each_below(process, await_end);
    each_below(process, look_at);
}

PyThreadState *core_attached_of_suspended(const struct core_table_user *process)
{
    for (const struct core_suspended *each = process->suspended; each != NULL; each = each->next) {
        PyThreadState *deeper = core_attached_of_suspended(&each->table);
        if (deeper != NULL)
            return deeper;
        if (each->found != NULL && each->state != NULL && core_is_attached(each->state))
            return each->state;
    }
    return NULL;
}

static void release_gil(struct core_suspended *caller)
{
    if (caller->found != NULL && caller->state != NULL)
        core_gil_release(caller->state);
}

void core_release_gil_of_suspended(struct core_table_user *process)
{
    each_below(process, release_gil);
}

/* What it has not seen the end of stays as it is. */
static void recover(struct core_suspended *caller)
{
    long pid = caller->is_thread ? 0 : pid_of_child(caller);
    if (caller->state != NULL)
        core_recover(caller->state, caller->found);
    core_table_abandon(&caller->table);
    core_take_stock(caller->found, NULL, caller->task, false);
    core_shared_task_forget(caller->task);
    if (pid > 0)
        core_recover_threads(pid);
    munmap(caller->found, sizeof *caller->found);
    PyMem_RawFree(caller);
}

int core_recover_suspended(struct core_table_user *process)
{
    int count = 0;
    for (struct core_suspended *each; (each = process->suspended) != NULL;) {
        process->suspended = each->next; /* first: who recovers may be killed, and is recovered by another */
        count += 1 + core_recover_suspended(&each->table);
        if (each->found != NULL)
            recover(each);
    }
    return count;
}
