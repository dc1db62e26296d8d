/* What the tests of C have in common: each file is a program, and its exit code is the verdict. */
#pragma once

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

#define PASSED 0
#define FAILED 1
#define FOUND 42
#define SKIPPED 77 /* meson's */

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            exit(FAILED);                                                                                              \
        }                                                                                                              \
    } while (0)

#define SKIP(reason)                                                                                                   \
    do {                                                                                                               \
        fprintf(stderr, "skipped: %s\n", reason);                                                                      \
        exit(SKIPPED);                                                                                                 \
    } while (0)

/* Reaps a child: its exit code, or the negative number of the signal that killed it. */
static inline int code_of(long pid)
{
    int status;
    CHECK(pid > 0);
    CHECK(waitpid((pid_t)pid, &status, __WALL) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* At the end of a test: whether a child is left. */
static inline int passed(void)
{
    CHECK(waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD);
    return PASSED;
}

/* Zeroed memory that a forked child shares. */
static inline void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

/* Makes a child in shared memory, on a stack that is this function's alone: one at a time. It makes raw calls only. */
static inline long start_sharer(int (*run)(void *fn, void *arg, void *context), void *context, unsigned long flags)
{
    static char stack[65536] __attribute__((aligned(16)));
    const struct ramet_entry entry = {run, context, NULL, NULL, __NR_exit_group};
    struct ramet_request request = {.size = sizeof request.args, .legacy = true};
    request.args.flags = CLONE_VM | flags;
    request.args.exit_signal = SIGCHLD;
    request.args.stack = (uintptr_t)stack;
    request.args.stack_size = sizeof stack;
    return ramet_make_task(&request, &entry);
}

/* For start_sharer(): waits until it is killed. */
static inline int wait_for_ever(void *fn, void *arg, void *context)
{
    (void)fn, (void)arg, (void)context;
    while (ramet_syscall5(__NR_ppoll, NULL, 0, NULL, NULL, 0) < 0)
        ;
    return FAILED;
}
