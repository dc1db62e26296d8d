/*
 * The return from a signal handler on x86_64. The kernel compares the address after a system call instruction
 * with the range whose calls are not handed over: so the range ends after the next instruction.
 */
#include <asm/unistd.h>

    .text
    .globl  ramet_restorer
    .hidden ramet_restorer
    .type   ramet_restorer, @function
ramet_restorer:
    movq    $__NR_rt_sigreturn, %rax    /* the same code as libc's, by which a debugger recognizes such a frame */
    syscall
    hlt
    .size   ramet_restorer, . - ramet_restorer
    .globl  ramet_restorer_end
    .hidden ramet_restorer_end
ramet_restorer_end:

    .section .note.GNU-stack, "", @progbits
