/* How aarch64 makes a system call, and where it keeps the thread pointer. */
#pragma once

#define RAMET_AUDIT_ARCH 0xC00000B7u /* AUDIT_ARCH_AARCH64, linux/audit.h */

#include <asm/unistd.h>

/* number x8 | arguments x0 to x5 | result x0, -errno on failure; nothing else changes */
static inline long ramet_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}

static inline void *ramet_thread_pointer(void)
{
    void *pointer;
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
    return pointer;
}

/* The vector of a thread's blocks of thread-local data is in the first word of its control block. */
static inline void *ramet_thread_vector(void)
{
    return ((void **)ramet_thread_pointer())[0];
}

/* clone() by hand; here tls comes before ctid. */
static inline long ramet_clone_call_twice(unsigned long flags, int *ptid, int *ctid, unsigned long tls)
{
    return ramet_syscall6(__NR_clone, (long)flags, 0, (long)ptid, (long)tls, (long)ctid, 0);
}
