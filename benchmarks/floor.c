/*
 * What the kernel alone takes, without a library between: the floor that ratios are told against.
 *
 *   floor spawn N PROGRAM    clone3(VM|VFORK|PIDFD) + execve + waitid, N times
 *   floor vfork N            clone3(VM|VFORK) + exit + waitid, N times
 *
 * Prints the median in nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    long left = *(const long *)a, right = *(const long *)b;
    return (left > right) - (left < right);
}

/* vfork() of libc is clone(VM|VFORK) in a few instructions, and safe to return from. */
static void one(const char *program)
{
    char *const argv[] = {(char *)program, NULL};
    pid_t pid = vfork();
    if (pid == 0) {
        if (program != NULL)
            execve(program, argv, environ);
        _exit(0);
    }
    siginfo_t info;
    if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED) < 0) {
        fprintf(stderr, "floor: %s\n", strerror(errno));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int count = atoi(argv[2]);
    const char *program = strcmp(argv[1], "spawn") == 0 ? argv[3] : NULL;
    long *times = malloc((size_t)count * sizeof *times);
    for (int i = 0; i < count; i++) {
        long begun = now();
        one(program);
        times[i] = now() - begun;
    }
    qsort(times, (size_t)count, sizeof *times, compare);
    printf("%ld\n", times[count / 2]);
    return 0;
}
