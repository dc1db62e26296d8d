/* A tracer tells of clone calls, refusals, and ends of what it has started, and leaves what it has attached to. */
#include "check.h"
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

int main(void)
{
    if (!may_trace())
        SKIP("ptrace is not permitted here");
    all_is_told();
    CHECK(left(false) == FOUND);
    CHECK(left(true) == 0);
    CHECK(ramet_tracer_seize(&tracer, 0) < 0);
    return passed();
}
