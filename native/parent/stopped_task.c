/* By raw calls and without libc's functions, as in task_state.c. */
#include "stopped_task.h"

#include <stddef.h>
#include <sys/uio.h>

#include "child.h"

#if RAMET_STOP_HIDES_CALL

#define INSTRUCTIONS (RAMET_INSTRUCTIONS_BEFORE_CALL + 2) /* and the call, and the one behind it */

/* Those up to the address, and with the one there. By a system call: code need not be readable. */
static bool read_code(unsigned long address, ramet_instruction code[INSTRUCTIONS])
{
    const size_t size = INSTRUCTIONS * sizeof *code;
    const struct iovec here = {code, size}, there = {(void *)(address + sizeof *code - size), size};
    long pid = ramet_syscall0(__NR_getpid);
    return ramet_syscall6(__NR_process_vm_readv, pid, (long)&here, 1, (long)&there, 1, 0) == (long)size;
}

/* -1 where there is none, or its number is not known. */
static long number_by_code(unsigned long address)
{
    ramet_instruction code[INSTRUCTIONS];
    if (!read_code(address, code))
        return -1;
    int call = ramet_is_system_call(code[INSTRUCTIONS - 1]) ? INSTRUCTIONS - 1 : INSTRUCTIONS - 2;
    if (!ramet_is_system_call(code[call]))
        return -1;
    long number = -1;
    for (int i = call - 1; i >= 0 && number < 0 && !ramet_is_end_of_search(code[i]); i--)
        number = ramet_number_set_by(code[i]);
    return number;
}

void ramet_look_before_stop(struct ramet_calls_before *before, long number)
{
    before->count = ramet_task_numbers(number, before->numbers, RAMET_MOST_THREADS);
    for (int i = 0; i < before->count; i++)
        before->states[i] = ramet_task_syscall(before->numbers[i]);
}

static bool is_in_call_of(const struct ramet_syscall_state *before, const struct ramet_syscall_state *stopped)
{
    unsigned long back = before->instruction_pointer - stopped->instruction_pointer;
    return before->call >= 0 && before->stack_pointer == stopped->stack_pointer && (back == 0 || back == sizeof(ramet_instruction));
}

struct ramet_syscall_state ramet_stopped_call(const struct ramet_calls_before *before, long number)
{
    struct ramet_syscall_state state = ramet_task_syscall(number);
    if (state.call >= 0 || state.stack_pointer == 0)
        return state;
    for (int i = 0; i < before->count; i++)
        if (before->numbers[i] == number && is_in_call_of(&before->states[i], &state))
            return before->states[i];
    state.call = number_by_code(state.instruction_pointer);
    return state;
}

#else

void ramet_look_before_stop(struct ramet_calls_before *before, long number)
{
    (void)number;
    before->count = 0;
}

struct ramet_syscall_state ramet_stopped_call(const struct ramet_calls_before *before, long number)
{
    (void)before;
    return ramet_task_syscall(number);
}

#endif
