/* A tracer tells of clone calls, refusals, and ends of what it has started, and leaves what it has attached to. */
#include "check.h"
#include "task_state.h"
#include "tracer.h"

#include <linux/ptrace.h>
#include <pthread.h>
#include <string.h>

static struct ramet_tracer tracer;
static const struct ramet_trace_limits limits = {.arguments = 8, .bytes = 100};

/* A child that waits until the pipe is closed, then makes a child, is refused an unshare, and ends with FOUND. */
static pid_t parent_of_one(int wait)
{
    const pid_t pid = fork();
    char byte;
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    while (read(wait, &byte, 1) < 0)
        ;
    const long child = ramet_syscall5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        _exit(0);
    waitpid((pid_t)child, NULL, 0);
    unshare(1); /* no such flag */
    _exit(FOUND);
}

static bool may_trace(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    ramet_tracer_begin(&tracer, &limits, false, true);
    const long error = ramet_tracer_seize(&tracer, pid);
    CHECK(error == 0 || error == -EPERM);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) >= 0);
    ramet_tracer_end(&tracer);
    while (waitpid(-1, NULL, __WALL) > 0)
        ;
    return error == 0;
}

static int count(const char *bytes, long length, enum ramet_trace_kind kind, int64_t result)
{
    int found = 0;
    for (long at = 0; at < length;) {
        const struct ramet_trace_record *record = (const struct ramet_trace_record *)(bytes + at);
        found += record->kind == kind && record->result == result;
        at += record->size;
    }
    return found;
}

static void all_is_told(void)
{
    int pipes[2];
    char *bytes;
    CHECK(pipe(pipes) == 0);
    const pid_t pid = parent_of_one(pipes[0]);
    ramet_tracer_begin(&tracer, &limits, false, true);
    CHECK(ramet_tracer_seize(&tracer, pid) == 0);
    CHECK(write(pipes[1], "x", 1) == 1);
    CHECK(ramet_tracer_run(&tracer) == 0);
    const long length = ramet_trace_take(&tracer.records, 1 << 30, 0, &bytes);
    CHECK(count(bytes, length, RAMET_TRACE_MADE, 0) == 1);
    CHECK(count(bytes, length, RAMET_TRACE_RETURNED, -EINVAL) == 1);
    CHECK(count(bytes, length, RAMET_TRACE_ENDED, 0) == 1);
    CHECK(count(bytes, length, RAMET_TRACE_ENDED, FOUND << 8) == 1);
    CHECK(count(bytes, length, RAMET_TRACE_OVER, 0) == 1);
    free(bytes);
    CHECK(ramet_trace_take(&tracer.records, 1, 0, &bytes) == 0);
    ramet_tracer_end(&tracer);
    CHECK(close(pipes[0]) == 0 && close(pipes[1]) == 0);
}

static void *leave(void *unused)
{
    ramet_tracer_leave(&tracer);
    return unused;
}

/* owns: it has started it. Returns how the child ends that nothing else ends than a byte in its pipe. */
static int left(bool owns)
{
    int pipes[2];
    char *bytes;
    pthread_t other;
    CHECK(pipe(pipes) == 0);
    const pid_t pid = parent_of_one(pipes[0]);
    ramet_tracer_begin(&tracer, &limits, false, owns);
    CHECK(ramet_tracer_seize(&tracer, pid) == 0);
    CHECK(pthread_create(&other, NULL, leave, NULL) == 0);
    CHECK(ramet_tracer_run(&tracer) == 0 && pthread_join(other, NULL) == 0);
    const long length = ramet_trace_take(&tracer.records, 1 << 30, 0, &bytes);
    CHECK(count(bytes, length, RAMET_TRACE_LEFT, 0) == !owns);
    CHECK(count(bytes, length, RAMET_TRACE_ENDED, SIGKILL) == owns);
    free(bytes);
    ramet_tracer_end(&tracer);
    CHECK(write(pipes[1], "x", 1) == 1 && close(pipes[0]) == 0 && close(pipes[1]) == 0);
    return owns ? 0 : code_of(pid);
}

static int wait_and_go[2];
static int *made; /* in shared memory: the tid of the child's child */

/* By a thread that has not made the child, as in a trace: then wait4(2) tells of the newest first. */
static void *trace_one_that_never_runs(void *pid)
{
    const id_t parent = (id_t)(intptr_t)pid;
    siginfo_t told;
    ramet_tracer_begin(&tracer, &limits, true, true);
    CHECK(ramet_tracer_seize(&tracer, (int)parent) == 0);
    CHECK(write(wait_and_go[1], "x", 1) == 1);
    CHECK(waitid(P_PID, parent, &told, WSTOPPED | WNOWAIT | __WALL) == 0); /* at the event of its clone call */
    CHECK(*made > 0 && kill(*made, SIGKILL) == 0);
    CHECK(waitid(P_PID, (id_t)*made, &told, WEXITED | WNOWAIT | __WALL) == 0);
    CHECK(ramet_tracer_run(&tracer) == 0);
    return NULL;
}

/* A new task that is killed before its first stop: its end is told before it is told to be made. */
static void one_that_never_runs_is_not_waited_for(void)
{
    char *bytes, byte;
    pthread_t other;
    made = shared_memory(sizeof *made);
    CHECK(pipe(wait_and_go) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        while (read(wait_and_go[0], &byte, 1) < 0)
            ;
        const long child = ramet_syscall5(__NR_clone, CLONE_PARENT_SETTID | SIGCHLD, 0, (long)made, 0, 0);
        CHECK(child != 0 && code_of(child) == -SIGKILL);
        _exit(FOUND);
    }
    CHECK(pthread_create(&other, NULL, trace_one_that_never_runs, (void *)(intptr_t)pid) == 0);
    CHECK(pthread_join(other, NULL) == 0);
    const long length = ramet_trace_take(&tracer.records, 1 << 30, 0, &bytes);
    CHECK(count(bytes, length, RAMET_TRACE_MADE, 0) == 1);
    CHECK(count(bytes, length, RAMET_TRACE_ENDED, SIGKILL) == 1);
    CHECK(count(bytes, length, RAMET_TRACE_ENDED, FOUND << 8) == 1);
    free(bytes);
    ramet_tracer_end(&tracer);
    CHECK(munmap(made, sizeof *made) == 0 && close(wait_and_go[0]) == 0 && close(wait_and_go[1]) == 0);
}

#define BUSY 8
#define MANY_CALLS 4000
#define FEW_CALLS (MANY_CALLS / 20)

static volatile long *calls; /* of each thread; shared with the test */

static void *make_calls(void *number)
{
    while (calls[(long)number]++ < MANY_CALLS)
        ramet_syscall0(__NR_getppid);
    _exit(FOUND);
}

/* Threads that make calls without end: when the first has made many, none has made but a few. */
static void none_is_kept_waiting(void)
{
    int pipes[2];
    char byte;
    calls = shared_memory(BUSY * sizeof *calls);
    CHECK(pipe(pipes) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        while (read(pipes[0], &byte, 1) < 0)
            ;
        for (long i = 0; i < BUSY; i++)
            if (pthread_create(&thread, NULL, make_calls, (void *)i) != 0)
                _exit(1);
        for (;;)
            pause();
    }
    ramet_tracer_begin(&tracer, &limits, false, true);
    CHECK(ramet_tracer_seize(&tracer, pid) == 0);
    CHECK(write(pipes[1], "x", 1) == 1);
    CHECK(ramet_tracer_run(&tracer) == 0);
    for (int i = 0; i < BUSY; i++)
        CHECK(calls[i] > FEW_CALLS);
    ramet_tracer_end(&tracer);
    CHECK(munmap((void *)calls, BUSY * sizeof *calls) == 0 && close(pipes[0]) == 0 && close(pipes[1]) == 0);
}

static void *pause_until_killed(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* Its main thread has ended, and its other thread goes on: the end of the first is told no sooner than that of the other. */
static void a_process_without_its_leader_is_left(void)
{
    int pipes[2];
    char byte;
    pthread_t other;
    CHECK(pipe(pipes) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, pause_until_killed, NULL) != 0)
            _exit(1);
        while (read(pipes[0], &byte, 1) < 0)
            ;
        pthread_exit(NULL);
    }
    while (ramet_task_threads(pid) < 2)
        sched_yield();
    ramet_tracer_begin(&tracer, &limits, true, false);
    CHECK(ramet_tracer_seize(&tracer, pid) == 0);
    CHECK(write(pipes[1], "x", 1) == 1);
    while (ramet_task_state(pid) != 'Z')
        sched_yield();
    CHECK(pthread_create(&other, NULL, leave, NULL) == 0);
    CHECK(ramet_tracer_run(&tracer) == 0 && pthread_join(other, NULL) == 0);
    ramet_tracer_end(&tracer);
    CHECK(kill(pid, SIGKILL) == 0 && code_of(pid) == -SIGKILL);
    CHECK(close(pipes[0]) == 0 && close(pipes[1]) == 0);
}

int main(void)
{
    if (!may_trace())
        SKIP("ptrace is not permitted here");
    all_is_told();
    CHECK(left(false) == FOUND);
    CHECK(left(true) == 0);
    one_that_never_runs_is_not_waited_for();
    none_is_kept_waiting();
    a_process_without_its_leader_is_left();
    CHECK(ramet_tracer_seize(&tracer, 0) < 0);
    return passed();
}
