/*
 * The steps go on in a new pid namespace, which no task ever enters: only its children are made there. So the task that
 * has carried out the steps before makes two, both children of its own parent: the init of the namespace, which does
 * nothing but live, and the child that carries out the other steps; then it ends. The program is not the init: that
 * would ignore the signals that it sends to itself, and would have to reap orphans.
 *
 * unshare(), and not a clone call with NEWPID and setns(): to join the namespace of another task one must be allowed to
 * trace it, and while a child of another thread changes its ids this memory is not dumpable.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time_types.h>

#include "futex_word.h"
#include "namespace_init.h"
#include "steps.h"

#define AF_UNIX 1
#define SOCK_STREAM 1
#define LOOK_SECONDS 1

static long open_process(long pid)
{
    return ramet_syscall2(__NR_pidfd_open, pid, 0);
}

/* told: where the kernel writes the pid, before the task runs: this one may be killed before it could. */
static struct ramet_request request_of(const struct ramet_inside *inside, uint64_t flags, int *told, uintptr_t stack, size_t size)
{
    struct ramet_request request = {.size = sizeof request.args, .legacy = inside->legacy};
    request.args.flags = flags | CLONE_VM | CLONE_PARENT | CLONE_PARENT_SETTID;
    request.args.parent_tid = (uintptr_t)told;
    request.args.stack = stack;
    request.args.stack_size = size;
    return request;
}

/* Whether it lives: when it has ended, another process has adopted this task, and would be the one that the init follows. */
static bool parent_lives(const struct ramet_inside *inside)
{
    return ramet_syscall0(__NR_getppid) == inside->parent;
}

/* Whether the parent lives by the time that the init is told of its end: one that has ended before tells nothing. */
static bool is_followed(const struct ramet_inside *inside)
{
    int *follows = &inside->watch->follows;
    struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS};
    while (__atomic_load_n(follows, __ATOMIC_ACQUIRE) == 0 && __atomic_load_n(inside->alive, __ATOMIC_ACQUIRE) != 0)
        ramet_futex_wait(follows, 0, &pause);
    return parent_lives(inside);
}

/*
 * Returns its pid or -errno. It is the first child after unshare(), and so the init. To clone it with NEWPID and to join
 * its namespace would take more calls, and fail while the caller's memory is one that only the privileged may look into,
 * as the launch of another thread makes it.
 */
static long make_init(struct ramet_inside *inside, int told_by, int *told, bool stays)
{
    struct ramet_request request = request_of(inside, CLONE_CHILD_CLEARTID, &inside->init, inside->init_stack, inside->init_stack_size);
    const struct ramet_entry entry = {ramet_run_init_of_child, inside->watch, NULL, NULL, __NR_exit_group};
    request.args.child_tid = (uintptr_t)inside->alive;
    *inside->watch = (struct ramet_init_watch){
        .parent = (int)open_process(inside->parent),
        .maker = (int)open_process(ramet_syscall0(__NR_getpid)),
        .told_by = told_by,
        .told = told,
        .stays = stays,
    };
    if (inside->watch->parent < 0 && !ramet_is_hidden(inside->watch->parent))
        return inside->watch->parent;
    if (!parent_lives(inside)) /* and had not ended when it was opened */
        return -ESRCH;
    const long made = ramet_make_task(&request, &entry);
    if (made < 0)
        return made;
    inside->watch->init = (int)made;
    if (inside->watch->parent >= 0 || is_followed(inside))
        return made;
    ramet_syscall2(__NR_kill, made, SIGKILL);
    return -ESRCH;
}

static int go_on(void *fn, void *arg, void *context)
{
    struct ramet_launch *launch = context;
    (void)fn, (void)arg;
    ramet_futex_set(&launch->inside.watch->begun, 1);
    ramet_do_steps_from(launch->at + 1, launch);
    return RAMET_NOT_LAUNCHED;
}

/* Without this task the init would end, unless it has seen that the child runs. */
static void await_beginning(struct ramet_launch *launch)
{
    int *begun = &launch->inside.watch->begun;
    struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS};
    while (__atomic_load_n(begun, __ATOMIC_ACQUIRE) == 0 && __atomic_load_n(&launch->arrived, __ATOMIC_ACQUIRE) != RAMET_GONE)
        ramet_futex_wait(begun, 0, &pause);
}

/* This task is suspended until the child has exec'ed or ended, unless the child is launched ahead. */
static long make_child(struct ramet_launch *launch, int cgroup)
{
    uint64_t flags = (launch->is_ahead ? CLONE_CHILD_CLEARTID : CLONE_VFORK) | CLONE_FILES | (cgroup < 0 ? 0 : CLONE_INTO_CGROUP);
    struct ramet_inside *inside = &launch->inside;
    struct ramet_request request = request_of(inside, flags, &inside->child, inside->stack, inside->stack_size);
    const struct ramet_entry entry = {go_on, launch, NULL, NULL, __NR_exit_group};
    if (cgroup >= 0)
        request.args.cgroup = (uint64_t)cgroup;
    if (launch->is_ahead)
        request.args.child_tid = (uintptr_t)&launch->arrived;
    const long made = ramet_make_task(&request, &entry);
    if (made >= 0 && launch->is_ahead)
        await_beginning(launch);
    return made;
}

/* The child's end has that number; the other end is returned. */
static int make_socket(int number)
{
    int ends[2];
    long error = ramet_syscall4(__NR_socketpair, AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, ends);
    if (error >= 0)
        error = ramet_syscall3(__NR_dup3, ends[1], number, O_CLOEXEC);
    if (error < 0)
        return (int)error;
    ramet_syscall1(__NR_close, ends[1]);
    return ends[0];
}

long ramet_step_PID_NAMESPACE(const uintptr_t *operand, struct ramet_launch *launch)
{
    struct ramet_inside *inside = &launch->inside;
    int told_by = -1;
    if (inside->watch == NULL) /* the task is no launch's, which has a stack for the init */
        return -EINVAL;
    long made = ramet_syscall1(__NR_unshare, CLONE_NEWPID);
    if (made >= 0 && (int)operand[1] >= 0)
        made = told_by = make_socket((int)operand[1]);
    if (made >= 0)
        made = make_init(inside, told_by, (int *)operand[2], launch->is_ahead);
    if (made < 0)
        return made;
    if (told_by >= 0)
        ramet_syscall1(__NR_close, told_by);
    made = make_child(launch, (int)operand[0]);
    if (made < 0) {
        ramet_syscall2(__NR_kill, inside->init, SIGKILL); /* it may have no descriptor that tells it of this end */
        return made;
    }
    ramet_syscall1(__NR_exit_group, 0);
    return 0;
}
