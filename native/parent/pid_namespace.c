/* The stacks of the inits: each is used again when its init has left the memory, which the kernel tells. */
#define _GNU_SOURCE
#include "pid_namespace.h"

#include <errno.h>
#include <linux/sched.h>
#include <stddef.h>
#include <unistd.h>

#include "child.h"
#include "epoch.h"
#include "futex.h"
#include "kernel_features.h"
#include "namespace_init.h"

#define STACK_BYTES 2048 /* for a few frames: no handler of a signal runs there */
#define STACKS 126

/* What the linker says of this object's image. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

/* Its memory is wiped in the child of a fork, where no init is. */
struct block {
    int alive[STACKS]; /* CHILD_CLEARTID: 0 when the init has left the stack */
    struct ramet_init_watch watches[STACKS];
    struct block *next;
    char stacks[STACKS][STACK_BYTES] __attribute__((aligned(16)));
};

static struct block *first; /* blocks are added in front, and stay */

static struct ramet_init_place free_place_in(struct block *block)
{
    for (int i = 0; i < STACKS; i++) {
        int free = 0;
        if (__atomic_compare_exchange_n(&block->alive[i], &free, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return (struct ramet_init_place){&block->alive[i], &block->watches[i], (uintptr_t)block->stacks[i], STACK_BYTES, block,
                                             sizeof *block};
    }
    return (struct ramet_init_place){0};
}

static struct block *add_block(void)
{
    struct block *block = ramet_wiped_on_fork(sizeof *block);
    if (block == NULL)
        return NULL;
    block->next = __atomic_load_n(&first, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(&first, &block->next, block, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    return block;
}

struct ramet_init_place ramet_take_init_place(void)
{
    struct ramet_init_place place = {0};
    for (struct block *block = __atomic_load_n(&first, __ATOMIC_ACQUIRE); place.alive == NULL && block != NULL;
         block = block->next)
        place = free_place_in(block);
    if (place.alive != NULL)
        return place;
    struct block *added = add_block();
    return added == NULL ? place : free_place_in(added);
}

void ramet_give_init_place_back(const struct ramet_init_place *place)
{
    __atomic_store_n(place->alive, 0, __ATOMIC_RELEASE);
}

static int open_process(long pid)
{
    return (int)ramet_syscall2(__NR_pidfd_open, pid, 0);
}

static void close_if_open(int descriptor)
{
    if (descriptor >= 0)
        ramet_syscall1(__NR_close, descriptor);
}

/*
 * A descriptor of the parent, negative where there is none to be had. The parent cannot have ended before and another
 * process have its pid: this process has another parent then.
 */
static int open_parent(void)
{
    long parent = ramet_syscall0(__NR_getppid);
    if (parent == 0) /* it is in no pid namespace that can be seen from here */
        return -1;
    int pidfd = open_process(parent);
    if (ramet_syscall0(__NR_getppid) == parent)
        return pidfd;
    close_if_open(pidfd);
    return -1;
}

/* With all signals blocked, as the init keeps them. */
static long make_init(const struct ramet_init_place *place, int *pidfd)
{
    const uint64_t flags = CLONE_VM | CLONE_NEWPID | CLONE_PARENT | CLONE_PIDFD | CLONE_CHILD_CLEARTID;
    const struct ramet_entry entry = {ramet_run_namespace_init, place->watch, NULL, NULL, __NR_exit_group};
    struct ramet_request request = {.args.flags = flags, .size = sizeof request.args, .legacy = !ramet_has_clone3()};
    request.args.stack = place->stack;
    request.args.stack_size = place->stack_size;
    request.args.child_tid = (uintptr_t)place->alive;
    request.args.pidfd = (uintptr_t)pidfd;
    const ramet_sigset mask = ramet_block_signals();
    long pid = ramet_make_task(&request, &entry);
    ramet_set_signal_mask(mask);
    if (pid < 0)
        ramet_give_init_place_back(place);
    else
        place->watch->init = (int)pid;
    return pid;
}

static struct ramet_range whole_pages(const void *start, const void *end)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    return (struct ramet_range){(uintptr_t)start / page * page, ((uintptr_t)end + page - 1) / page * page};
}

/* The init has copies of the descriptors. Without the maker's it would never give the memory back. */
long ramet_new_pid_namespace(int *pidfd, int held)
{
    const struct ramet_init_place place = ramet_take_init_place();
    if (place.alive == NULL)
        return -ENOMEM;
    const int maker = open_process(ramet_syscall0(__NR_getpid));
    const struct ramet_init_watch watch = {
        .parent = open_parent(),
        .maker = maker,
        .gives_back = maker >= 0 && held >= 0,
        .held = held,
        .needed = {whole_pages(__ehdr_start, _end), whole_pages(place.memory, (const char *)place.memory + place.memory_size)},
    };
    *place.watch = watch;
    long pid = make_init(&place, pidfd);
    close_if_open(watch.parent);
    close_if_open(watch.maker);
    return pid;
}

static struct ramet_init_watch *watch_of(struct block *block, int init)
{
    for (int i = 0; i < STACKS; i++)
        if (__atomic_load_n(&block->alive[i], __ATOMIC_ACQUIRE) != 0 && block->watches[i].init == init)
            return &block->watches[i];
    return NULL;
}

/* NULL: it has ended. */
static struct ramet_init_watch *find_watch(int init)
{
    struct ramet_init_watch *watch = NULL;
    for (struct block *block = __atomic_load_n(&first, __ATOMIC_ACQUIRE); watch == NULL && block != NULL; block = block->next)
        watch = watch_of(block, init);
    return watch;
}

void ramet_begin_in_pid_namespace(int init, int child)
{
    struct ramet_init_watch *watch = find_watch(init);
    if (watch != NULL)
        ramet_futex_set(&watch->begun, child);
}
