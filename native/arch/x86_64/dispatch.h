/* A system call that is handed to a signal handler (Syscall User Dispatch, Linux 5.11), in x86_64's registers. */
#pragma once

#define RAMET_HAS_DISPATCH 1

#include <stdbool.h>
#include <syscall.h>
#include <ucontext.h>

#define RAMET_CLONE_TID_WORD 3 /* which argument of clone() it is */
#define RAMET_SYSCALL_BYTES 2  /* of the instruction, after which the interrupted code continues */

/* dispatch.S: returns from a signal handler, by a system call in the range that is not handed over. */
void ramet_restorer(void);
extern const char ramet_restorer_end[];

static inline unsigned long ramet_handed_argument(const ucontext_t *context, int number)
{
    static const int registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    return (unsigned long)context->uc_mcontext.gregs[registers[number]];
}

/* What the interrupted code gets as the result of its call. */
static inline void ramet_answer(ucontext_t *context, long result)
{
    context->uc_mcontext.gregs[REG_RAX] = result;
}

/* Makes the call here, in the handler. */
static inline long ramet_make_handed(const ucontext_t *context, long number)
{
    const greg_t *r = context->uc_mcontext.gregs;
    return ramet_syscall6(number, r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]);
}

/* Has the interrupted code make the call itself, when the handler has returned: its number is still in rax. */
static inline void ramet_repeat_handed(ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_RIP] -= RAMET_SYSCALL_BYTES;
}

/* The call is the return of another handler: the same on the same stack, from the range. */
static inline void ramet_return_from_restorer(ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)ramet_restorer;
}

/* Returns from the handler, on whatever stack this is. */
static inline _Noreturn void ramet_leave_handler(const ucontext_t *context)
{
    __asm__ volatile("movq %0, %%rsp\n\tjmp ramet_restorer" : : "r"(context) : "memory");
    __builtin_unreachable();
}

/* Whether the call may return twice, which it cannot within a handler. */
static inline bool ramet_returns_twice(long number)
{
    return number == __NR_clone || number == __NR_clone3 || number == __NR_vfork;
}
