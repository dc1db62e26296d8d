/* A system call that is handed to a signal handler (Syscall User Dispatch, Linux 5.11), as x86_64's registers tell it. */
#ifndef RAMET_ARCH_DISPATCH_H
#define RAMET_ARCH_DISPATCH_H

#define RAMET_HAS_DISPATCH 1

#include <linux/sched.h>
#include <stdbool.h>
#include <ucontext.h>

#include "child.h"

#define RAMET_SYSCALL_BYTES 2 /* of the instruction, behind which the interrupted code goes on */

/* dispatch.S: returns from a signal handler, by a system call that is in the range which is not handed over. */
void ramet_restorer(void);
extern const char ramet_restorer_end[];

static inline unsigned long ramet_handed_argument(const ucontext_t *context, int number)
{
    static const int registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    return (unsigned long)context->uc_mcontext.gregs[registers[number]];
}

/* What the interrupted code will find as the answer of the kernel. */
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

/* Has the interrupted code make the call itself, when the handler is over: its number is in rax still. */
static inline void ramet_repeat_handed(ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_RIP] -= RAMET_SYSCALL_BYTES;
}

/* The call was the return of a handler that this one has interrupted: the same, on the same stack, from the range. */
static inline void ramet_return_from_restorer(ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)ramet_restorer;
}

/* What the return of the handler does, from anywhere. */
static inline _Noreturn void ramet_leave_handler(const ucontext_t *context)
{
    __asm__ volatile("movq %0, %%rsp\n\tjmp ramet_restorer" : : "r"(context) : "memory");
    __builtin_unreachable();
}

/* Whether the call is a fork; then *tid_word is where the kernel writes the child's tid, NULL for nowhere. */
static inline bool ramet_is_fork(const ucontext_t *context, long number, int **tid_word)
{
    const struct ramet_clone_args *args = (const void *)ramet_handed_argument(context, 0);
    struct ramet_clone_args asked = {0};
    if (number == __NR_clone3)
        asked = *args;
    else if (number == __NR_clone) {
        asked.flags = ramet_handed_argument(context, 0);
        asked.stack = ramet_handed_argument(context, 1);
        asked.child_tid = ramet_handed_argument(context, 3);
    } else if (number != __NR_fork)
        return false;
    *tid_word = asked.flags & CLONE_CHILD_SETTID ? (int *)asked.child_tid : NULL;
    return !(asked.flags & CLONE_VM) && asked.stack == 0;
}

/* Whether who makes the call comes back from it twice, and not from within a handler. */
static inline bool ramet_returns_twice(long number)
{
    return number == __NR_clone || number == __NR_clone3 || number == __NR_vfork;
}

#endif
