/* Read with raw calls and read by hand: a host thread looks, too, while its thread-local block is lent. */
#include "task_state.h"

#include <linux/fcntl.h>

#include "child.h"

#define DIGITS 20

/* /proc/TID/NAME */
static void put_path(char *path, long tid, const char *name)
{
    char digits[DIGITS];
    int count = 0;
    for (const char *from = "/proc/"; *from != '\0';)
        *path++ = *from++;
    do
        digits[count++] = (char)('0' + tid % 10);
    while ((tid /= 10) > 0);
    while (count > 0)
        *path++ = digits[--count];
    *path++ = '/';
    while ((*path++ = *name++) != '\0')
        ;
}

static long open_of(long tid, const char *name, int flags)
{
    char path[sizeof "/proc//" + DIGITS + 16];
    put_path(path, tid, name);
    return ramet_syscall4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | flags, 0);
}

/* The text of that file, with its end marked; its length, or -1. */
static long read_of(long tid, const char *name, char *text, long size)
{
    long fd = open_of(tid, name, 0);
    if (fd < 0)
        return -1;
    long length = ramet_syscall3(__NR_read, fd, text, size - 1);
    ramet_syscall1(__NR_close, fd);
    if (length <= 0)
        return -1;
    text[length] = '\0';
    return length;
}

/* What stands in /proc/TID/stat behind the name, or "" where there is none to read. */
static const char *stat_of(long tid, char *text, long size)
{
    long end = read_of(tid, "stat", text, size);
    while (end > 0 && text[end] != ')') /* the last: a name may hold anything, a parenthesis too */
        end--;
    return end > 0 && text[end + 1] != '\0' ? text + end + 2 : "";
}

char ramet_task_state(long tid)
{
    char text[256];
    return *stat_of(tid, text, sizeof text);
}

/* 0 where there is no number. */
static long decimal(const char *digits)
{
    long number = 0;
    for (; *digits >= '0' && *digits <= '9'; digits++)
        number = number * 10 + (*digits - '0');
    return number;
}

#define SPACES_BEFORE_FLAGS 6
#define SPACES_BEFORE_NUM_THREADS 17
#define PF_EXITING 0x4

static long number_behind(const char *at, int spaces)
{
    for (; spaces > 0 && *at != '\0'; at++)
        spaces -= *at == ' ';
    return decimal(at);
}

long ramet_task_threads(long pid)
{
    char text[512];
    return number_behind(stat_of(pid, text, sizeof text), SPACES_BEFORE_NUM_THREADS);
}

bool ramet_task_threads_have_to_end(long pid)
{
    char text[512];
    const char *stat = stat_of(pid, text, sizeof text);
    return (number_behind(stat, SPACES_BEFORE_FLAGS) & PF_EXITING) != 0 && number_behind(stat, SPACES_BEFORE_NUM_THREADS) > 1;
}

/* As getdents64(2) has it. */
struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

int ramet_task_tids(long pid, long *tids, int most)
{
    char entries[1024] __attribute__((aligned(8)));
    int count = 0;
    long length, fd = open_of(pid, "task", O_DIRECTORY);
    while (fd >= 0 && count < most && (length = ramet_syscall3(__NR_getdents64, fd, entries, sizeof entries)) > 0)
        for (long at = 0; at < length && count < most; at += ((struct entry *)(entries + at))->length) {
            long tid = decimal(((struct entry *)(entries + at))->name);
            if (tid > 0) /* the others are . and .. */
                tids[count++] = tid;
        }
    if (fd >= 0)
        ramet_syscall1(__NR_close, fd);
    if (count == 0)
        tids[count++] = pid;
    return count;
}

static int value_of(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static unsigned long read_hex(const char *text)
{
    unsigned long number = 0;
    for (text += 2; value_of(*text) >= 0; text++) /* after 0x */
        number = number << 4 | (unsigned long)value_of(*text);
    return number;
}

/*
 * In a system call: its number in decimal, six arguments, the stack pointer and the next instruction in
 * hexadecimal. In its own code: -1 and the last two. Else "running".
 */
struct ramet_syscall_state ramet_task_syscall(long tid)
{
    struct ramet_syscall_state stand = {.call = -1};
    char text[256];
    const char *words[9] = {text};
    int count = 1;
    if (read_of(tid, "syscall", text, sizeof text) < 0)
        return stand;
    for (const char *at = text; *at != '\0' && count < 9; at++)
        if (*at == ' ')
            words[count++] = at + 1;
    if (count < 3)
        return stand;
    stand.stack_pointer = read_hex(words[count - 2]);
    if (count < 9)
        return stand;
    stand.call = decimal(text);
    stand.first = read_hex(words[1]);
    return stand;
}

/* After a stop a sleep that ends at a given time is begun again by a call of its own, with the same arguments. */
bool ramet_waits_in_futex(const struct ramet_syscall_state *stand)
{
    return stand->call == __NR_futex || stand->call == __NR_restart_syscall;
}

bool ramet_is_at_safe_point(const struct ramet_syscall_state *stand)
{
    switch (stand->call) {
    case -1:
    case __NR_brk:
    case __NR_mmap:
    case __NR_mprotect:
    case __NR_mremap:
    case __NR_munmap:
    case __NR_madvise:
    case __NR_sched_yield: /* it computes, and waits for others who do */
        return false;
    default:
        return true;
    }
}
