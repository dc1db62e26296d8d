/* Stop, look, kill. */
#define _GNU_SOURCE
#include "kill.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "task_state.h"

#define TRIES 100
#define MOST_LOOKS 4000 /* a fifth of a second at least, for a task that no processor has time for */

static void send(pid_t pid, int pidfd, int signal)
{
    if (pidfd >= 0)
        ramet_syscall4(__NR_pidfd_send_signal, pidfd, signal, NULL, 0);
    else
        ramet_syscall2(__NR_kill, pid, signal);
}

/* There is no event to wait for: the report of a stop may have been taken, or be another parent's. */
static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = 50000};
    ramet_syscall2(__NR_nanosleep, &pause, NULL);
}

static bool has_stopped(pid_t pid)
{
    for (int look = 0; look < MOST_LOOKS; look++) {
        char state = ramet_task_state(pid);
        if (state == '\0' || strchr("TtZX", state) != NULL)
            return true;
        pause_shortly();
    }
    return false;
}

/* The system call in which a stopped task stands, -1 in its own code or where that cannot be read. */
static long call_of(pid_t pid)
{
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%ld/syscall", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return -1;
    text[length] = '\0';
    char *end;
    long call = strtol(text, &end, 10); /* "running" is no number */
    return end == text ? -1 : call;
}

/* Waiting, it holds no mutex of libc's; but malloc asks the kernel for memory with its lock held. */
static bool stands_well(pid_t pid)
{
    switch (call_of(pid)) {
    case -1:
    case __NR_brk:
    case __NR_mmap:
    case __NR_mprotect:
    case __NR_mremap:
    case __NR_munmap:
    case __NR_madvise:
        return false;
    default:
        return true;
    }
}

void ramet_kill_sharer(pid_t pid, int pidfd)
{
    for (int try = 0; try < TRIES; try++) {
        send(pid, pidfd, SIGSTOP);
        if (!has_stopped(pid) || stands_well(pid))
            break;
        send(pid, pidfd, SIGCONT);
        pause_shortly();
    }
    send(pid, pidfd, SIGKILL);
}
