/*
 * The clone call of a task on aarch64; see arch/x86_64/clone.S for what these functions do and
 * child/child.h for struct ramet_entry. The kernel keeps every register but x0 through svc, so
 * run, context, fn, arg and exit_call wait in x9 to x13 and nothing has to be saved for the parent.
 */
#include <asm/unistd.h>

    .text

    .macro  CHILD
    .cfi_undefined x30                  /* a debugger's walk ends here */
    mov     x29, #0                     /* and so does one by frame pointers */
    mov     x30, #0
    ldp     x0, x1, [sp]                /* fn, arg: they stay, to be looked at */
    mov     x2, x10                     /* context */
    mov     x19, x13
    blr     x9                          /* run */
    mov     x8, x19                     /* exit_call */
    svc     #0
    brk     #1
    .endm

    .macro  PREPARE entry
    ldp     x9, x10, [\entry]           /* run, context */
    ldp     x11, x12, [\entry, #16]     /* fn, arg */
    ldr     x13, [\entry, #32]          /* exit_call */
    stp     x11, x12, [sp, #-16]!
    .cfi_adjust_cfa_offset 16
    .endm

    .macro  RETURN
    add     sp, sp, #16
    .cfi_adjust_cfa_offset -16
    ret
    .endm

/*
 * long ramet_clone3_call(struct ramet_clone_args *args, size_t size, const struct ramet_entry *entry)
 *
 *             args   size   entry
 *     C       x0     x1     x2
 *     kernel  x0     x1     -
 */
    .globl  ramet_clone3_call
    .hidden ramet_clone3_call
    .type   ramet_clone3_call, %function
ramet_clone3_call:
    .cfi_startproc
    PREPARE x2
    mov     x8, #__NR_clone3
    svc     #0
    cbz     x0, 1f
    .cfi_remember_state
    RETURN
    .cfi_restore_state
1:  CHILD
    .cfi_endproc
    .size   ramet_clone3_call, . - ramet_clone3_call

/*
 * long ramet_clone_call(unsigned long flags, void *stack, int *ptid, int *ctid, unsigned long tls,
 *                       const struct ramet_entry *entry)
 *
 *             flags  stack  ptid   ctid   tls    entry
 *     C       x0     x1     x2     x3     x4     x5
 *     kernel  x0     x1     x2     x4     x3     -        (CONFIG_CLONE_BACKWARDS: tls before ctid)
 */
    .globl  ramet_clone_call
    .hidden ramet_clone_call
    .type   ramet_clone_call, %function
ramet_clone_call:
    .cfi_startproc
    PREPARE x5
    mov     x14, x3
    mov     x3, x4
    mov     x4, x14
    mov     x8, #__NR_clone
    svc     #0
    cbz     x0, 2f
    .cfi_remember_state
    RETURN
    .cfi_restore_state
2:  CHILD
    .cfi_endproc
    .size   ramet_clone_call, . - ramet_clone_call

/*
 * void ramet_on_stack(void *top, void (*fn)(void *arg, void *left), void *arg)
 *
 *             top    fn     arg    left
 *     C       x0     x1     x2     -
 *     fn's    -      -      x0     x1
 */
    .globl  ramet_on_stack
    .hidden ramet_on_stack
    .type   ramet_on_stack, %function
ramet_on_stack:
    .cfi_startproc
    stp     x29, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_offset x29, -16
    .cfi_offset x30, -8
    mov     x29, sp
    .cfi_def_cfa_register x29
    and     x0, x0, #-16
    mov     sp, x0
    mov     x9, x1
    mov     x0, x2
    mov     x1, x29
    blr     x9
    mov     sp, x29
    ldp     x29, x30, [sp], #16
    .cfi_def_cfa sp, 0
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size   ramet_on_stack, . - ramet_on_stack

    .section .note.GNU-stack, "", %progbits
