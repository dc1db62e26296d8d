/* By raw calls and without libc's functions: a host thread calls these, too, while its thread-local block is lent. */
#include "proc_file.h"

#include <errno.h>
#include <linux/fcntl.h>

#include "epoch.h"
#include "listing.h"

#define DIGITS 20
#define STATUS_BYTES 1024 /* the line is among the first, but for a task in a hundred groups */
#define PART_BYTES 512
#define BEFORE_NUMBER (sizeof "/proc/" - 1) /* of a path */
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */

static char *put_text(char *at, const char *text)
{
    while (*text != '\0')
        *at++ = *text++;
    *at = '\0';
    return at;
}

static char *put_number(char *at, long number)
{
    char digits[DIGITS];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0)
        *at++ = digits[--count];
    *at = '\0';
    return at;
}

void ramet_proc_path(char path[RAMET_PROC_PATH_BYTES], long number, const char *name)
{
    put_text(put_text(put_number(put_text(path, "/proc/"), number), "/"), name);
}

static long read_text(const char *path, char *text, long size)
{
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

long ramet_proc_read(long number, const char *name, char *text, long size)
{
    char path[RAMET_PROC_PATH_BYTES];
    ramet_proc_path(path, number, name);
    return read_text(path, text, size);
}

long ramet_decimal(const char *digits)
{
    long number = 0;
    for (; *digits >= '0' && *digits <= '9'; digits++)
        number = number * 10 + (*digits - '0');
    return number;
}

/* The last part of where such a link leads to, which the kernel makes for who asks; 0: it leads nowhere. */
static long number_in_link(const char *path)
{
    char target[64];
    long length = ramet_syscall4(__NR_readlinkat, AT_FDCWD, path, target, sizeof target - 1);
    const char *last = target;
    if (length < 0)
        return 0;
    target[length] = '\0';
    for (const char *at = target; *at != '\0'; at++)
        if (*at == '/')
            last = at + 1;
    return ramet_decimal(last);
}

long ramet_proc_own_number(void)
{
    return number_in_link("/proc/thread-self");
}

/* What follows it at the begin of a line, or NULL. */
static const char *line_of(const char *text, const char *name)
{
    for (const char *line = text; *line != '\0'; line++) {
        const char *at = line, *of = name;
        while (*of != '\0' && *at == *of)
            at++, of++;
        if (*of == '\0')
            return at;
        for (line = at; *line != '\n' && *line != '\0'; line++)
            ;
        if (*line == '\0')
            break;
    }
    return NULL;
}

long ramet_proc_parent(long number)
{
    char text[STATUS_BYTES];
    const char *line = ramet_proc_read(number, "status", text, sizeof text) < 0 ? NULL : line_of(text, "PPid:\t");
    return line == NULL ? 0 : ramet_decimal(line);
}

/* proc_tid_children(5): their numbers, a space after each. */
bool ramet_proc_each_child(long threads, long thread, void (*take)(long pid, void *context), void *context)
{
    char path[RAMET_PROC_PATH_BYTES], part[PART_BYTES];
    ramet_proc_path(path, thread, "children");
    long file = ramet_syscall4(__NR_openat, threads, path + BEFORE_NUMBER, O_RDONLY | O_CLOEXEC, 0);
    long pid = 0, length;
    if (file < 0)
        return false;
    while ((length = ramet_syscall3(__NR_read, file, part, sizeof part)) > 0)
        for (long i = 0; i < length; i++) {
            if (part[i] >= '0' && part[i] <= '9') {
                pid = pid * 10 + (part[i] - '0');
                continue;
            }
            if (pid > 0)
                take(pid, context);
            pid = 0;
        }
    ramet_syscall1(__NR_close, file);
    return true;
}

/* The numbers of a task, from the namespace of /proc down to the task's own. How many, and the last. */
static int numbers_in_status(const char *text, long *last)
{
    const char *at = line_of(text, "NSpid:");
    int count = 0;
    while (at != NULL && *at == '\t') {
        *last = ramet_decimal(++at);
        count++;
        while (*at >= '0' && *at <= '9')
            at++;
    }
    return count;
}

/*
 * Whether /proc has the numbers of this process's pid namespace. Asked each time, since another may be mounted. That of a namespace
 * above may have the very number of this process, by chance: so once for each process there must be no other number.
 */
static bool has_own_numbers(void)
{
    static uint64_t seen_to_have;
    char text[STATUS_BYTES];
    long pid = ramet_syscall0(__NR_getpid), last;
    if (number_in_link("/proc/self") != pid)
        return false;
    const uint64_t process = ramet_epoch() << 32 | (uint64_t)pid;
    if (__atomic_load_n(&seen_to_have, __ATOMIC_RELAXED) == process)
        return true;
    long length = read_text("/proc/self/status", text, sizeof text);
    if (length < 0)
        return true; /* so nothing else can be read, either */
    if (numbers_in_status(text, &last) > 1)
        return false;
    __atomic_store_n(&seen_to_have, process, __ATOMIC_RELAXED);
    return true;
}

/* The kernel tells of a pidfd by the numbers of the /proc that is asked: 0 where it does not show the task, -1 when it was reaped. */
static long number_of_pidfd(long pidfd)
{
    char path[RAMET_PROC_PATH_BYTES], text[STATUS_BYTES];
    put_number(put_text(path, "/proc/thread-self/fdinfo/"), pidfd);
    long length = read_text(path, text, sizeof text);
    const char *line = length < 0 ? NULL : line_of(text, "Pid:\t");
    return line == NULL ? 0 : ramet_decimal(line);
}

static long number_by_new_pidfd(long tid, long flags)
{
    long pidfd = ramet_syscall2(__NR_pidfd_open, tid, flags);
    if (pidfd < 0)
        return 0;
    long number = number_of_pidfd(pidfd);
    ramet_syscall1(__NR_close, pidfd);
    return number;
}

long ramet_proc_number_of_process(long pid, int pidfd)
{
    if (has_own_numbers())
        return pid;
    if (pid == ramet_syscall0(__NR_getpid))
        return number_in_link("/proc/self");
    return pidfd >= 0 ? number_of_pidfd(pidfd) : number_by_new_pidfd(pid, 0);
}

static long number_among_own_threads(long tid)
{
    struct ramet_listing tasks;
    long found = 0;
    ramet_listing_open(&tasks, "/proc/self/task");
    for (long number; found == 0 && (number = ramet_listing_next(&tasks)) >= 0;) {
        char text[STATUS_BYTES];
        long own = 0;
        if (ramet_proc_read(number, "status", text, sizeof text) > 0 && numbers_in_status(text, &own) > 0 && own == tid)
            found = number;
    }
    ramet_listing_close(&tasks);
    return found;
}

long ramet_proc_number_of_task(long tid)
{
    if (has_own_numbers())
        return tid;
    long number = number_by_new_pidfd(tid, 0);
    if (number == 0)
        number = number_by_new_pidfd(tid, PIDFD_THREAD);
    return number != 0 ? number : number_among_own_threads(tid);
}
