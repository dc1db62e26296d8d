/* Functions in shared memory that make others, as fast as they can: a kill of the first ends all, and none at work. */
#include "futex.h"
#include "refused_call.h"
#include "safe_kill.h"
#include "task_state.h"

#define ROUNDS 40
#define FUNCTIONS 24
#define STACK_BYTES 16384
#define WORK 50000             /* turns of a loop, in which none may die... */
#define REST RAMET_MILLISECOND /* ...and a wait, in which it may */
#define MADE 2
#define DEPTH 2

/* What the interpreter lock is to functions: one begins with it, and whoever kills has it. */
static int lock;

/* A place for a function. pid: 0, it is free; -1, it is taken. */
static struct function {
    int pid;
    int at_work;
    int depth;   /* how many are to be below it, one below the other */
    bool renews; /* it reaps them, and makes others */
    char stack[STACK_BYTES] __attribute__((aligned(16)));
} functions[FUNCTIONS];

static void take_lock(void)
{
    for (int free = 0; !__atomic_compare_exchange_n(&lock, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED); free = 0)
        ramet_pause(RAMET_MILLISECOND / 20);
}

static void give_lock(void)
{
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

static bool runs_python(pid_t pid)
{
    for (int i = 0; i < FUNCTIONS; i++)
        if (__atomic_load_n(&functions[i].pid, __ATOMIC_ACQUIRE) == pid)
            return true;
    return false;
}

static void remove_no_waiter(const struct ramet_syscall_state *state)
{
    (void)state;
}

static const struct ramet_sharers known = {remove_no_waiter, runs_python};

static void work(struct function *self)
{
    __atomic_store_n(&self->at_work, 1, __ATOMIC_SEQ_CST);
    for (volatile int turn = 0; turn < WORK; turn++)
        ;
    __atomic_store_n(&self->at_work, 0, __ATOMIC_SEQ_CST);
    ramet_pause(REST);
}

static struct function *take_place(void)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        int free = 0;
        if (__atomic_compare_exchange_n(&functions[i].pid, &free, -1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return &functions[i];
    }
    return NULL;
}

static int run(void *fn, void *parent, void *context);

/* Its pid, or 0 where no place is free. parent: 0 for the first. */
static long make(int depth, bool renews, long parent)
{
    struct function *made = take_place();
    if (made == NULL)
        return 0;
    made->depth = depth;
    made->renews = renews;
    const struct ramet_entry entry = {run, made, NULL, (void *)parent, __NR_exit_group};
    struct ramet_request request = {.size = sizeof request.args, .legacy = true};
    request.args.flags = CLONE_VM | CLONE_CHILD_CLEARTID;
    request.args.child_tid = (uintptr_t)&made->pid; /* free when it has left its stack */
    request.args.exit_signal = SIGCHLD;
    request.args.stack = (uintptr_t)made->stack;
    request.args.stack_size = sizeof made->stack;
    return ramet_make_task(&request, &entry);
}

static void make_others(const struct function *self, long pid)
{
    for (int i = 0; i < MADE && self->depth > 0; i++)
        make(self->depth - 1, self->renews, pid);
}

static void reap_others(void)
{
    while (ramet_syscall4(__NR_wait4, -1, NULL, __WALL, NULL) > 0)
        ;
}

/* By raw calls. Those below the first end by themselves where they are to be renewed. */
static int run(void *fn, void *parent, void *context)
{
    struct function *self = context;
    const long pid = ramet_syscall0(__NR_getpid);
    const bool is_first = parent == NULL;
    (void)fn;
    ramet_syscall5(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (!is_first && ramet_syscall0(__NR_getppid) != (long)parent)
        return FAILED;
    __atomic_store_n(&self->pid, (int)pid, __ATOMIC_RELEASE);
    take_lock();
    give_lock();
    do {
        make_others(self, pid);
        work(self);
        if (self->renews)
            reap_others();
    } while (is_first || !self->renews);
    return 0;
}

/* All are dead: their places are free from now on. */
static int count_at_work(void)
{
    int count = 0;
    for (int i = 0; i < FUNCTIONS; i++) {
        count += functions[i].at_work;
        functions[i].pid = functions[i].at_work = 0;
    }
    return count;
}

/* Kills a tree of functions after that time, in which none may die at work. Whether all were at safe points, as the kill has it. */
static bool kill_tree(bool renews, int64_t after)
{
    bool at_safe_points = false;
    long first = make(DEPTH, renews, 0);
    CHECK(first > 0);
    ramet_pause(after);
    if (ramet_task_syscall(first).hidden)
        SKIP("/proc/PID/syscall cannot be read");
    take_lock();
    CHECK(ramet_kill_sharer((pid_t)first, -1, &known, &at_safe_points) == 0);
    CHECK(code_of(first) == -SIGKILL);
    while (waitpid(-1, NULL, __WALL) > 0) /* the others have come to this process */
        ;
    give_lock();
    const int at_work = count_at_work();
    CHECK(at_work == 0 || !at_safe_points);
    return at_safe_points;
}

/* On a busy machine not every tree comes to rest in time. */
static void kill_many(void)
{
    int at_safe_points = 0;
    for (int i = 0; i < ROUNDS; i++) {
        at_safe_points += kill_tree(false, 5 * RAMET_MILLISECOND);
        at_safe_points += kill_tree(true, (10 + i) * RAMET_MILLISECOND / 3);
    }
    CHECK(at_safe_points > ROUNDS);
}

/* ---- more than anybody has */

#define MANY 100
#define SMALL_STACK_BYTES 4096

static char small_stacks[MANY][SMALL_STACK_BYTES] __attribute__((aligned(16)));
static int waiting; /* how many wait */
static int looked_at; /* how many were at the kill */

static void count_one(const struct ramet_syscall_state *state)
{
    looked_at += state->call == __NR_ppoll;
}

static bool any_runs_python(pid_t pid)
{
    return pid > 0;
}

static const struct ramet_sharers any = {count_one, any_runs_python};

static int wait_below(void *fn, void *arg, void *context)
{
    ramet_syscall5(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    __atomic_add_fetch(&waiting, 1, __ATOMIC_RELEASE);
    return wait_for_ever(fn, arg, context);
}

static int make_many(void *fn, void *arg, void *flags)
{
    struct ramet_request request = {.size = sizeof request.args, .legacy = true};
    request.args.flags = CLONE_VM | *(const unsigned long *)flags;
    request.args.exit_signal = request.args.flags & CLONE_THREAD ? 0 : SIGCHLD;
    request.args.stack_size = SMALL_STACK_BYTES;
    for (int i = 0; i < MANY; i++) {
        const struct ramet_entry entry = {wait_below, NULL, NULL, NULL, __NR_exit};
        request.args.stack = (uintptr_t)small_stacks[i];
        ramet_make_task(&request, &entry);
    }
    __atomic_add_fetch(&waiting, 1, __ATOMIC_RELEASE);
    return wait_for_ever(fn, arg, NULL);
}

/* A function that has made so many threads, or others, is killed as one that has made none. */
static void kill_with_many(unsigned long flags)
{
    bool at_safe_points = false;
    waiting = looked_at = 0;
    long first = start_sharer(make_many, &flags, 0);
    while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) < MANY + 1)
        ramet_pause(RAMET_MILLISECOND);
    CHECK(ramet_kill_sharer((pid_t)first, -1, &any, &at_safe_points) == 0);
    CHECK(code_of(first) == -SIGKILL);
    while (waitpid(-1, NULL, __WALL) > 0)
        ;
    CHECK(at_safe_points && looked_at == MANY + 1);
}

/* As in most containers. */
static void without_kcmp(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (!refuse_call(__NR_kcmp, EPERM))
            _exit(SKIPPED);
        CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
        kill_many();
        _exit(PASSED);
    }
    const int code = code_of(pid);
    if (code == SKIPPED)
        SKIP("no seccomp filter can be installed");
    CHECK(code == PASSED);
}

int main(void)
{
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    kill_many();
    kill_with_many(0);
    kill_with_many(CLONE_SIGHAND | CLONE_THREAD);
    without_kcmp();
    return passed();
}
