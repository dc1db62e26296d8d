/*
 * The way back from a signal handler on x86_64. The kernel compares the address behind a system call with
 * the range whose calls are not handed over: so that goes on past the call.
 */
#include <asm/unistd.h>

    .text
    .globl  ramet_restorer
    .hidden ramet_restorer
    .type   ramet_restorer, @function
ramet_restorer:
    movq    $__NR_rt_sigreturn, %rax    /* as libc's has it, by which a debugger knows such a frame */
    syscall
    hlt
    .size   ramet_restorer, . - ramet_restorer
    .globl  ramet_restorer_end
    .hidden ramet_restorer_end
ramet_restorer_end:

    .section .note.GNU-stack, "", @progbits
