/*
 * What the kernel alone takes, without a library between: the floor that ratios are told against.
 *
 *   floor spawn N PROGRAM    clone(VM|VFORK|PIDFD) + execve + waitid + close, N times
 *   floor bare N PROGRAM     vfork + execve + waitid, without a handle of the child, N times
 *   floor vfork N            vfork + exit + waitid, N times
 *   floor capture N WORDS    the same for a program whose output is read through a pipe
 *
 * Prints the median in nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

static void fail(void)
{
    fprintf(stderr, "floor: %s\n", strerror(errno));
    exit(1);
}

/* vfork() of libc is clone(VM|VFORK) in a few instructions, and safe to return from. */
static pid_t start(char **argv, int output)
{
    pid_t pid = vfork();
    if (pid == 0) {
        if (output >= 0)
            dup2(output, 1);
        if (argv != NULL)
            execvp(argv[0], argv);
        _exit(0);
    }
    if (pid < 0)
        fail();
    return pid;
}

static void await_end(pid_t pid)
{
    siginfo_t info;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0)
        fail();
}

/* As large as what comes, as a caller has it in the end; its pages are there from the second time on. */
static void capture(char **argv)
{
    static char *buffer;
    static size_t room = 1 << 16;
    size_t length = 0;
    ssize_t got;
    int ends[2];
    if (buffer == NULL)
        buffer = malloc(room);
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail();
    fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
    pid_t pid = start(argv, ends[1]);
    close(ends[1]);
    while ((got = read(ends[0], buffer + length, room - length)) > 0) {
        length += (size_t)got;
        if (length == room)
            buffer = realloc(buffer, room *= 2);
    }
    close(ends[0]);
    await_end(pid);
}

static int execute(void *argv)
{
    execvp(((char **)argv)[0], argv);
    _exit(127);
}

/* What the ratios of a program's start are told against: the child, by a handle that cannot mean another. */
static void spawn(char **argv)
{
    static char stack[65536] __attribute__((aligned(16)));
    siginfo_t info;
    int pidfd;
    if (clone(execute, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, argv, &pidfd) < 0)
        fail();
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
        fail();
    close(pidfd);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int count = atoi(argv[2]);
    char **words = argc > 3 ? argv + 3 : NULL;
    long *times = malloc((size_t)count * sizeof *times);
    for (int i = 0; i < count; i++) {
        long begun = now();
        if (strcmp(argv[1], "capture") == 0)
            capture(words);
        else if (strcmp(argv[1], "spawn") == 0)
            spawn(words);
        else
            await_end(start(words, -1));
        times[i] = now() - begun;
    }
    qsort(times, (size_t)count, sizeof *times, compare);
    printf("%ld\n", times[count / 2]);
    return 0;
}
