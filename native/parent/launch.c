/* The stack, the plan and the request of a launch. */
#define _GNU_SOURCE
#include "launch.h"

#include <linux/sched.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "kernel_features.h"
#include "lent_memory.h"
#include "libc_thread.h"
#include "pid_namespace.h"

#define STACK_BYTES 65536
#define STACK_OF_MAKER 16384 /* of a task that makes the child which has the rest */
#define MOST_SLOTS_ON_STACK (STACK_BYTES / 2 / sizeof(int))

struct ramet_plan *ramet_plan_hold(struct ramet_plan *plan)
{
    __atomic_add_fetch(&plan->holders, 1, __ATOMIC_RELAXED);
    return plan;
}

void ramet_plan_release(struct ramet_plan *plan)
{
    if (__atomic_sub_fetch(&plan->holders, 1, __ATOMIC_ACQ_REL) == 0)
        free(plan);
}

/* One stack is kept for the next launch: to map one costs as much as all else that the parent does. */
static struct ramet_stack *spare;

struct ramet_stack *ramet_launch_stack(size_t slots)
{
    if (slots > MOST_SLOTS_ON_STACK)
        return ramet_stack_new(STACK_BYTES + slots * sizeof(int));
    struct ramet_stack *stack = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQ_REL);
    return stack != NULL ? stack : ramet_stack_new(STACK_BYTES);
}

void ramet_launch_stack_release(struct ramet_stack *stack)
{
    struct ramet_stack *none = NULL;
    if (stack->size == STACK_BYTES &&
        __atomic_compare_exchange_n(&spare, &none, stack, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    ramet_stack_release(stack);
}

struct ramet_entry ramet_prepare_launch(struct ramet_stack *stack, struct ramet_request *request,
                                        struct ramet_launch *launch)
{
    request->args.stack = stack->base;
    request->args.stack_size = stack->size;
    launch->slots = (int *)(stack->base + sizeof *launch); /* at the lower end, which the child does not reach */
    launch->failed_step = -1;
    launch->clear_handlers = !(request->args.flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND));
    launch->parent_word = launch->plan->minds_parent ? ramet_cleartid_word() : NULL;
    return (struct ramet_entry){ramet_run_plan, NULL, launch, NULL, __NR_exit_group};
}

bool ramet_prepare_inside(struct ramet_inside *inside, const struct ramet_stack *stack)
{
    const struct ramet_init_place place = ramet_take_init_place();
    *inside = (struct ramet_inside){place.watch, place.alive, place.stack, place.stack_size, .legacy = !ramet_has_clone3()};
    inside->parent = (int)ramet_syscall0(__NR_getpid);
    inside->stack = stack->base;
    inside->stack_size = stack->size - STACK_OF_MAKER;
    return place.alive != NULL;
}

void ramet_release_inside(const struct ramet_inside *inside)
{
    const struct ramet_init_place place = {.alive = inside->alive};
    if (inside->init == 0)
        ramet_give_init_place_back(&place);
}

/* The pid is of no other process: it is this process's child, which nobody else reaps, or the kernel has at once. */
int ramet_open_child(long pid)
{
    int pidfd = (int)ramet_syscall2(__NR_pidfd_open, pid, 0);
    if (pidfd < 0 || waitid(P_PIDFD, (id_t)pidfd, NULL, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
        return pidfd;
    ramet_syscall1(__NR_close, pidfd);
    return -1;
}

void ramet_read_report(const struct ramet_launch *launch, struct ramet_report *report)
{
    report->failed_step = __atomic_load_n(&launch->failed_step, __ATOMIC_ACQUIRE);
    report->error = launch->error;
}
