/* How x86_64 makes a system call, and where it keeps the thread pointer. */
#pragma once

#define RAMET_AUDIT_ARCH 0xC000003Eu /* AUDIT_ARCH_X86_64, linux/audit.h */

#include <asm/unistd.h>

/*
 * number rax | arguments rdi rsi rdx r10 r8 r9 | result rax, -errno on failure
 * The kernel destroys rcx and r11 and nothing else.
 */
static inline long ramet_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* The psABI has the thread control block hold its own address as its first word. */
static inline void *ramet_thread_pointer(void)
{
    void *pointer;
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

/* The vector of a thread's blocks of thread-local data is in its second word. */
static inline void *ramet_thread_vector(void)
{
    return ((void **)ramet_thread_pointer())[1];
}

/* clone() by hand; the order of its last two arguments is the architecture's own. */
static inline long ramet_clone_call_twice(unsigned long flags, int *ptid, int *ctid, unsigned long tls)
{
    return ramet_syscall6(__NR_clone, (long)flags, 0, (long)ptid, (long)ctid, (long)tls, 0);
}
