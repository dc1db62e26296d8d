/* Stop, look, kill: by raw calls, since a host thread does so, too, while its thread-local block is lent. */
#define _GNU_SOURCE
#include "safe_kill.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <time.h>

#include "futex.h"
#include "listing.h"
#include "proc_file.h"
#include "stopped_task.h"

#define PAUSE (RAMET_MILLISECOND / 20)     /* between two looks */
#define LEAST_RUN (RAMET_MILLISECOND / 10) /* between two tries */
#define TRIES_OF_ONE_RUN 5
#define MOST_LOOKS 4000 /* a fifth of a second at least */
#define MOST_LOOKS_AT_RUNNABLE (5 * MOST_LOOKS)
#define LOOKS_AT_ASLEEP 4 /* before it is taken for one that sleeps on */
#define LEAST_ADDRESS 4096
#define MOST_MEMBERS 256
#define MOST_TASKS 1024 /* of all of them */

/* Then no task has reaped it, and its pid is still its own. */
static bool has_not_ended(int pidfd)
{
    const struct timespec at_once = {0};
    struct pollfd waited = {.fd = pidfd, .events = POLLIN};
    return ramet_syscall5(__NR_ppoll, &waited, 1, &at_once, NULL, 0) == 0;
}

long ramet_send_signal(pid_t pid, int pidfd, int signal)
{
    long error = pidfd < 0 ? -ENOSYS : ramet_syscall4(__NR_pidfd_send_signal, pidfd, signal, NULL, 0);
    if (error == 0 || error == -ESRCH || error == -EBADF || error == -EINVAL)
        return error;
    if (pidfd >= 0 && !has_not_ended(pidfd))
        return -ESRCH; /* whatever was answered: a zombie takes no signal */
    if (pid <= 0)
        return error;
    return ramet_syscall2(__NR_kill, pid, signal);
}

/*
 * A signal to stop that is pending holds a task in the kernel, where it may sleep uninterruptibly for long: as one does that its
 * vfork child suspends. It runs no code of the user's any more.
 */
static bool sleeps_in_call(long number)
{
    return ramet_task_syscall(number).call >= 0;
}

/*
 * There is no event to wait for: another thread may take the report of a stop, or another process gets it (CLONE_PARENT).
 * A task that is runnable will stop when it gets a processor.
 */
static bool has_stopped(long number)
{
    char state = 'R';
    for (int look = 0; look < (state == 'R' ? MOST_LOOKS_AT_RUNNABLE : MOST_LOOKS); look++) {
        state = ramet_task_state(number);
        if (state == '\0' || state == 'T' || state == 't' || state == 'Z' || state == 'X')
            return true;
        if (state == 'D' && look >= LOOKS_AT_ASLEEP && sleeps_in_call(number))
            return true;
        ramet_pause(PAUSE);
    }
    return false;
}

/* A process that is to be killed; of its descendants, those that share this memory and run Python. */
struct member {
    pid_t pid;
    int pidfd; /* -1: none */
    long number; /* by which /proc has it */
};

/* In a mapping of its own: it is too large for the stack of a host thread that waits. */
struct target {
    const struct ramet_sharers *known;
    struct ramet_calls_before before; /* of the member that is being stopped */
    struct member members[MOST_MEMBERS]; /* parents before their children */
    int members_count;
    bool has_more_threads; /* than are looked at */
    int count;
    bool hidden; /* where a task is cannot be read */
    bool has_ended; /* the first one: it comes to no safe point any more */
    long numbers[MOST_TASKS];
    struct ramet_syscall_state states[MOST_TASKS];
};

/* NULL where there is no memory. */
static struct target *new_target(pid_t pid, int pidfd, const struct ramet_sharers *known)
{
    const long block = ramet_syscall6(__NR_mmap, 0, sizeof(struct target), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block < 0 && block > -LEAST_ADDRESS)
        return NULL;
    struct target *target = (struct target *)block;
    target->known = known;
    target->members[0] = (struct member){pid, pidfd, ramet_proc_number_of_process(pid, pidfd)};
    target->members_count = 1;
    return target;
}

static void drop(struct target *target)
{
    ramet_syscall2(__NR_munmap, target, sizeof *target);
}

/* A signal for a process waits for one of its threads, which may sleep uninterruptibly: so each gets one of its own. */
static void stop_threads(const struct member *member, const long *numbers, int count)
{
    for (int i = 0; i < count && count > 1 && member->pid == member->number; i++)
        ramet_syscall3(__NR_tgkill, member->pid, numbers[i], SIGSTOP);
}

/* Where a task is that has stopped: whether at a safe point. Of one that has ended meanwhile that is not known. */
static bool look_at(struct target *target, int task)
{
    struct ramet_syscall_state *state = &target->states[task];
    *state = ramet_stopped_call(&target->before, target->numbers[task]);
    const bool has_ended = state->stack_pointer == 0 && ramet_listed_task_has_ended(target->numbers[task]);
    target->hidden |= state->hidden && !has_ended;
    target->has_ended |= has_ended && task == 0;
    return ramet_is_at_safe_point(state);
}

/* Whether all of a process has stopped. safe: false where it is not at safe points. */
static bool stop_member(struct target *target, const struct member *member, bool *safe)
{
    ramet_look_before_stop(&target->before, member->number);
    const long error = ramet_send_signal(member->pid, member->pidfd, SIGSTOP);
    int first = target->count;
    int room = MOST_TASKS - first < RAMET_MOST_THREADS ? MOST_TASKS - first : RAMET_MOST_THREADS;
    target->count += room == 0 ? 0 : ramet_task_numbers(member->number, target->numbers + first, room);
    target->has_more_threads |= target->count == first + room;
    stop_threads(member, target->numbers + first, target->count - first);
    bool stopped = error == 0 || error == -ESRCH;
    *safe &= stopped;
    for (int i = first; i < target->count && stopped; i++) {
        stopped = has_stopped(target->numbers[i]);
        *safe &= look_at(target, i) && stopped;
    }
    return stopped;
}

/* 0: it is the same. -errno. */
static long compare_memory(long pid)
{
    return ramet_syscall5(__NR_kcmp, ramet_syscall0(__NR_getpid), pid, KCMP_VM, 0, 0);
}

bool ramet_shares_memory(pid_t pid)
{
    return compare_memory(pid) == 0;
}

void ramet_kill_in_memory(pid_t pid, const int *word)
{
    const int pidfd = (int)ramet_syscall2(__NR_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    if (ramet_shares_memory(pid) && __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0)
        ramet_send_signal(0, pidfd, SIGKILL);
    ramet_syscall1(__NR_close, pidfd);
}

/* Of one that was made to. Where kcmp() is refused or missing, as in most containers: until it becomes a program. */
static bool still_shares_memory(long pid)
{
    const long order = compare_memory(pid);
    return order == 0 || (order < 0 && ramet_task_runs_makers_program(pid));
}

static void add_sharer(long pid, void *context)
{
    struct target *target = context;
    if (!target->known->runs_python((pid_t)pid) || !still_shares_memory(pid)) /* it may have become a program */
        return;
    if (target->members_count < MOST_MEMBERS) /* the others die as they would have, too */
        target->members[target->members_count++] = (struct member){(pid_t)pid, -1, pid};
}

/* Its parent is stopped, and so reaps none: their pids stay their own. */
static void add_sharing_children(struct target *target, const struct member *parent)
{
    char path[RAMET_PROC_PATH_BYTES];
    struct ramet_listing threads;
    if (target->known->runs_python == NULL || parent->pid != parent->number) /* what /proc has is no pid here */
        return;
    ramet_proc_path(path, parent->number, "task");
    ramet_listing_open(&threads, path);
    for (long thread; (thread = ramet_listing_next(&threads)) >= 0;)
        ramet_proc_each_child(threads.descriptor, thread, add_sharer, target);
    ramet_listing_close(&threads);
}

/* Whether all of it has stopped, and all there is: safe, at safe points. */
static bool stop(struct target *target, bool *safe)
{
    bool stopped = *safe = true;
    target->members_count = 1;
    target->count = 0;
    target->has_more_threads = false;
    for (int i = 0; i < target->members_count && stopped; i++) {
        stopped = stop_member(target, &target->members[i], safe);
        if (stopped)
            add_sharing_children(target, &target->members[i]);
    }
    return stopped;
}

/*
 * Children before their parent, which is stopped: so it reaps none of them, and nor does who would adopt them, before all have their
 * signal. What the first one's met with.
 */
static long signal_all(const struct target *target, int signal)
{
    for (int i = target->members_count - 1; i > 0; i--)
        ramet_send_signal(target->members[i].pid, target->members[i].pidfd, signal);
    return ramet_send_signal(target->members[0].pid, target->members[0].pidfd, signal);
}

/*
 * Lets it run on for a moment while it is not at a safe point: longer from try to try, since some libraries' threads
 * spin for tens of milliseconds before they sleep.
 */
static bool stop_at_safe_point(struct target *target, int tries, bool *safe)
{
    for (int try = 0;; try++) {
        bool stopped = stop(target, safe);
        if (!stopped || *safe || target->hidden || target->has_ended || try + 1 >= tries)
            return stopped;
        signal_all(target, SIGCONT);
        ramet_pause((try / TRIES_OF_ONE_RUN + 1) * LEAST_RUN);
    }
}

static long kill_stopped(const struct target *target)
{
    for (int i = 0; i < target->count; i++)
        if (target->states[i].stack_pointer != 0)
            target->known->remove_waiter(&target->states[i]);
    return signal_all(target, SIGKILL);
}

long ramet_kill_sharer(pid_t pid, int pidfd, const struct ramet_sharers *known, bool *at_safe_point)
{
    struct target *target = new_target(pid, pidfd, known);
    bool safe = false;
    const bool stopped = target != NULL && stop_at_safe_point(target, RAMET_KILL_TRIES, &safe);
    if (at_safe_point != NULL)
        *at_safe_point = safe && !target->has_more_threads;
    if (target == NULL)
        return ramet_send_signal(pid, pidfd, SIGKILL);
    const long error = stopped ? kill_stopped(target) : signal_all(target, SIGKILL);
    drop(target);
    return error;
}

static long kill_if_safe(struct target *target, int tries)
{
    bool safe;
    stop_at_safe_point(target, tries, &safe);
    if (safe && !target->has_more_threads)
        return kill_stopped(target);
    const long error = signal_all(target, SIGCONT);
    return error < 0 ? error : target->hidden ? -ENODATA : -EAGAIN;
}

long ramet_kill_sharer_if_safe(pid_t pid, int pidfd, const struct ramet_sharers *known, int tries)
{
    struct target *target = new_target(pid, pidfd, known);
    if (target == NULL)
        return -ENODATA;
    const long error = kill_if_safe(target, tries);
    drop(target);
    return error;
}
