/*
 * The clone calls of native/arch/<cpu>/clone.S without Python: built for aarch64 and run by make aarch64
 * under qemu-user, and good for any cpu. qemu-user makes a copy of every task that is no thread,
 * and has no clone3: so the children report by their exit code alone.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "child.h"

#define FOUND 42

static char block[65536] __attribute__((aligned(16)));
static int here, there;
static uintptr_t expected_low, expected_high;

static int child(void *fn, void *arg, void *context)
{
    char local;
    uintptr_t sp = (uintptr_t)&local;
    if (fn != &here || arg != &there || context != block)
        return 1;
    if (sp < expected_low || sp >= expected_high)
        return 2;
    return FOUND;
}

static int code_of(long pid)
{
    int status;
    if (pid < 0 || waitpid((pid_t)pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static void expect(const char *what, int code)
{
    printf("%s: %s (%d)\n", what, code == FOUND ? "ok" : "FAILED", code);
    if (code != FOUND)
        exit(1);
}

static const struct ramet_entry entry = {child, block, &here, &there, __NR_exit_group};

static void on_a_given_stack(void)
{
    uintptr_t top = (uintptr_t)block + sizeof block - 2 * sizeof(void *);
    ((void **)top)[0] = &here;
    ((void **)top)[1] = &there;
    expected_low = (uintptr_t)block;
    expected_high = (uintptr_t)block + sizeof block;
    expect("clone on a given stack", code_of(ramet_clone_call(SIGCHLD, (void *)top, NULL, NULL, 0, &entry)));
}

static void on_the_callers_stack(void)
{
    char local;
    expected_low = (uintptr_t)&local - sizeof block;
    expected_high = (uintptr_t)&local + sizeof block;
    expect("clone on the caller's stack", code_of(ramet_clone_call(SIGCHLD, NULL, NULL, NULL, 0, &entry)));
}

static void by_clone3(void)
{
    struct ramet_clone_args args = {.exit_signal = SIGCHLD};
    char local;
    expected_low = (uintptr_t)&local - sizeof block;
    expected_high = (uintptr_t)&local + sizeof block;
    long pid = ramet_clone3_call(&args, sizeof args, &entry);
    if (pid == -ENOSYS)
        printf("clone3: not here\n");
    else
        expect("clone3", code_of(pid));
}

static void moved(void *arg, void *left)
{
    char local;
    uintptr_t sp = (uintptr_t)&local, low = (uintptr_t)block;
    *(int *)arg = sp >= low && sp < low + sizeof block && (uintptr_t)left > 0 ? FOUND : 1;
}

int main(void)
{
    int result = 0;
    on_a_given_stack();
    on_the_callers_stack();
    by_clone3();
    ramet_on_stack(block + sizeof block, moved, &result);
    expect("on another stack and back", result);
    expect("the thread pointer", ramet_thread_pointer() == __builtin_thread_pointer() ? FOUND : 1);
    return 0;
}
