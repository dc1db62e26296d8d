/*
 * The clone calls on x86_64. C cannot write them, since the child returns from them on another stack, or
 * on a stack that its sleeping parent will use again.
 *
 * struct ramet_entry (child/child.h) is what the child does:
 *
 *     offset  0  run        run(fn, arg, context) is called in the child
 *             8  context
 *            16  fn         laid on the child's stack, read from there by the child
 *            24  arg        laid beside it
 *            32  exit_call  the number of exit or exit_group, made with what run returns
 *
 * A child that is given a stack finds fn and arg at its top: the C side has laid them there.
 * A child that keeps the caller's stack finds them where these functions push them, just below
 * the caller's frame. So the child always does the same: it reads fn and arg from the top of its stack and calls run.
 */
#include <asm/unistd.h>

    .text

/* Entered by the child, right after the system call that made it. */
    .macro  CHILD
    .cfi_undefined %rip                 /* a debugger's walk ends here */
    xorl    %ebp, %ebp                  /* and so does one by frame pointers */
    movq    0(%rsp), %rdi               /* fn: it stays where it lies, to be looked at */
    movq    8(%rsp), %rsi               /* arg */
    movq    %r13, %rdx                  /* context */
    andq    $-16, %rsp
    call    *%r12                       /* run */
    movl    %eax, %edi
    movq    %rbx, %rax                  /* exit_call */
    syscall
    hlt
    .endm

/* Leaves run, context and exit_call in registers that no system call changes. */
    .macro  PREPARE entry
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    movq    0(\entry), %r12
    movq    8(\entry), %r13
    movq    32(\entry), %rbx
    pushq   24(\entry)
    .cfi_adjust_cfa_offset 8
    pushq   16(\entry)
    .cfi_adjust_cfa_offset 8
    .endm

    .macro  RETURN
    addq    $16, %rsp
    .cfi_adjust_cfa_offset -16
    popq    %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq    %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .endm

/*
 * long ramet_clone3_call(struct ramet_clone_args *args, size_t size, const struct ramet_entry *entry)
 *
 *             args   size   entry
 *     C       rdi    rsi    rdx
 *     kernel  rdi    rsi    -
 */
    .globl  ramet_clone3_call
    .hidden ramet_clone3_call
    .type   ramet_clone3_call, @function
ramet_clone3_call:
    .cfi_startproc
    PREPARE %rdx
    movl    $__NR_clone3, %eax
    syscall
    testq   %rax, %rax
    jz      1f
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
 *     C       rdi    rsi    rdx    rcx    r8     r9
 *     kernel  rdi    rsi    rdx    r10    r8     -
 */
    .globl  ramet_clone_call
    .hidden ramet_clone_call
    .type   ramet_clone_call, @function
ramet_clone_call:
    .cfi_startproc
    PREPARE %r9
    movq    %rcx, %r10
    movl    $__NR_clone, %eax
    syscall
    testq   %rax, %rax
    jz      2f
    .cfi_remember_state
    RETURN
    .cfi_restore_state
2:  CHILD
    .cfi_endproc
    .size   ramet_clone_call, . - ramet_clone_call

/*
 * void ramet_on_stack(void *top, void (*fn)(void *arg, void *left), void *arg)
 *
 * Calls fn on the stack that ends at top. `left` is the stack pointer that was left behind:
 * nothing below it is in use until fn returns.
 *
 *             top    fn     arg    left
 *     C       rdi    rsi    rdx    -
 *     fn's    -      -      rdi    rsi
 */
    .globl  ramet_on_stack
    .hidden ramet_on_stack
    .type   ramet_on_stack, @function
ramet_on_stack:
    .cfi_startproc
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq    %rsp, %rbp
    .cfi_def_cfa_register %rbp
    movq    %rdi, %rsp
    andq    $-16, %rsp
    movq    %rsi, %rax
    movq    %rdx, %rdi
    movq    %rbp, %rsi
    call    *%rax
    movq    %rbp, %rsp
    popq    %rbp
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size   ramet_on_stack, . - ramet_on_stack

    .section .note.GNU-stack, "", @progbits
