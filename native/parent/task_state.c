/* By raw calls and without libc's functions: a host thread calls these, too, while its thread-local block is lent. */
#include "task_state.h"

#include <errno.h>
#include <linux/fcntl.h>

#include "listing.h"
#include "proc_file.h"

/* What follows the name in /proc/NUMBER/stat, or "" where there is none to read. */
static const char *stat_of(long number, char *text, long size)
{
    long end = ramet_proc_read(number, "stat", text, size);
    while (end > 0 && text[end] != ')') /* the last one: a name may hold parentheses */
        end--;
    return end > 0 && text[end + 1] != '\0' ? text + end + 2 : "";
}

char ramet_task_state(long number)
{
    char text[256];
    return *stat_of(number, text, sizeof text);
}

static bool is_over(char state)
{
    return state == 'Z' || state == 'X';
}

bool ramet_task_has_ended(long tid)
{
    char state = ramet_task_state(ramet_proc_number_of_task(tid));
    return is_over(state) || (state == '\0' && ramet_syscall2(__NR_tkill, tid, 0) == -ESRCH);
}

bool ramet_listed_task_has_ended(long number)
{
    char path[RAMET_PROC_PATH_BYTES];
    ramet_proc_path(path, number, "stat");
    char state = ramet_task_state(number);
    return is_over(state) || (state == '\0' && ramet_syscall3(__NR_faccessat, AT_FDCWD, path, 0) == -ENOENT);
}

#define SPACES_BEFORE_FLAGS 6
#define SPACES_BEFORE_NUM_THREADS 17
#define PF_EXITING 0x4
#define PF_FORKNOEXEC 0x40

static long number_after(const char *at, int spaces)
{
    for (; spaces > 0 && *at != '\0'; at++)
        spaces -= *at == ' ';
    return ramet_decimal(at);
}

long ramet_task_threads(long number)
{
    char text[512];
    return number_after(stat_of(number, text, sizeof text), SPACES_BEFORE_NUM_THREADS);
}

bool ramet_task_threads_have_to_end(long number)
{
    char text[512];
    const char *stat = stat_of(number, text, sizeof text);
    return (number_after(stat, SPACES_BEFORE_FLAGS) & PF_EXITING) != 0 && number_after(stat, SPACES_BEFORE_NUM_THREADS) > 1;
}

bool ramet_has_executed(void)
{
    char text[512];
    const char *stat = stat_of(ramet_proc_number_of_process(ramet_syscall0(__NR_getpid), -1), text, sizeof text);
    return *stat != '\0' && (number_after(stat, SPACES_BEFORE_FLAGS) & PF_FORKNOEXEC) == 0;
}

bool ramet_task_runs_makers_program(long number)
{
    char text[512];
    return (number_after(stat_of(number, text, sizeof text), SPACES_BEFORE_FLAGS) & PF_FORKNOEXEC) != 0;
}

int ramet_task_numbers(long number, long *numbers, int most)
{
    char path[RAMET_PROC_PATH_BYTES];
    struct ramet_listing listing;
    int count = 0;
    ramet_proc_path(path, number, "task");
    ramet_listing_open(&listing, path);
    for (long thread; count < most && (thread = ramet_listing_next(&listing)) >= 0;)
        numbers[count++] = thread;
    ramet_listing_close(&listing);
    if (count == 0)
        numbers[count++] = number;
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
struct ramet_syscall_state ramet_task_syscall(long number)
{
    struct ramet_syscall_state state = {.call = -1};
    char text[256];
    const char *words[9] = {text};
    int count = 1;
    long length = ramet_proc_read(number, "syscall", text, sizeof text);
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
    state.call = ramet_decimal(text);
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
