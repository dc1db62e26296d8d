/* By raw calls and without libc's functions: a host thread calls these, too, while its thread-local block is lent. */
#include "task_state.h"

#include <errno.h>
#include <linux/fcntl.h>

#include "listing.h"

#define DIGITS 20
#define PATH_BYTES (sizeof "/proc//" + DIGITS + 16)

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

/* The text of that file, with a 0 at its end; its length, or -errno. */
static long read_of(long tid, const char *name, char *text, long size)
{
    char path[PATH_BYTES];
    put_path(path, tid, name);
    long fd = ramet_syscall4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    long length = ramet_syscall3(__NR_read, fd, text, size - 1);
    ramet_syscall1(__NR_close, fd);
    if (length <= 0)
        return length < 0 ? length : -ENOENT;
    text[length] = '\0';
    return length;
}

/* What follows the name in /proc/TID/stat, or "" where there is none to read. */
static const char *stat_of(long tid, char *text, long size)
{
    long end = read_of(tid, "stat", text, size);
    while (end > 0 && text[end] != ')') /* the last one: a name may hold parentheses */
        end--;
    return end > 0 && text[end + 1] != '\0' ? text + end + 2 : "";
}

char ramet_task_state(long tid)
{
    char text[256];
    return *stat_of(tid, text, sizeof text);
}

bool ramet_task_has_ended(long tid)
{
    char state = ramet_task_state(tid);
    return state == 'Z' || state == 'X' || (state == '\0' && ramet_syscall2(__NR_tkill, tid, 0) == -ESRCH);
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

static long number_after(const char *at, int spaces)
{
    for (; spaces > 0 && *at != '\0'; at++)
        spaces -= *at == ' ';
    return decimal(at);
}

long ramet_task_threads(long pid)
{
    char text[512];
    return number_after(stat_of(pid, text, sizeof text), SPACES_BEFORE_NUM_THREADS);
}

bool ramet_task_threads_have_to_end(long pid)
{
    char text[512];
    const char *stat = stat_of(pid, text, sizeof text);
    return (number_after(stat, SPACES_BEFORE_FLAGS) & PF_EXITING) != 0 && number_after(stat, SPACES_BEFORE_NUM_THREADS) > 1;
}

int ramet_task_tids(long pid, long *tids, int most)
{
    char path[PATH_BYTES];
    struct ramet_listing listing;
    int count = 0;
    put_path(path, pid, "task");
    ramet_listing_open(&listing, path);
    for (long tid; count < most && (tid = ramet_listing_next(&listing)) >= 0;)
        tids[count++] = tid;
    ramet_listing_close(&listing);
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
 * The file has, in a system call: its number in decimal, six arguments, the stack pointer and the instruction
 * pointer in hexadecimal. In user code: -1 and the last two. Else "running".
 */
struct ramet_syscall_state ramet_task_syscall(long tid)
{
    struct ramet_syscall_state state = {.call = -1};
    char text[256];
    const char *words[9] = {text};
    int count = 1;
    long length = read_of(tid, "syscall", text, sizeof text);
    state.hidden = length < 0 && length != -ESRCH;
    if (length < 0)
        return state;
    for (const char *at = text; *at != '\0' && count < 9; at++)
        if (*at == ' ')
            words[count++] = at + 1;
    if (count < 3)
        return state;
    state.stack_pointer = read_hex(words[count - 2]);
    state.instruction_pointer = read_hex(words[count - 1]);
    if (count < 9)
        return state;
    state.call = decimal(text);
    state.first = read_hex(words[1]);
    return state;
}

/* After a stop the kernel restarts a wait with a timeout as restart_syscall, with the same arguments. */
bool ramet_waits_in_futex(const struct ramet_syscall_state *state)
{
    return (state->call == __NR_futex || state->call == __NR_restart_syscall) && state->first != 0;
}

bool ramet_is_at_safe_point(const struct ramet_syscall_state *state)
{
    switch (state->call) {
    case -1:
    case __NR_brk:
    case __NR_mmap:
    case __NR_mprotect:
    case __NR_mremap:
    case __NR_munmap:
    case __NR_madvise:
    case __NR_sched_yield: /* it spins, for another thread that computes */
        return false;
    default:
        return true;
    }
}
