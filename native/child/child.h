/*
 * What runs in a new task: raw system calls only.
 *
 * A child that shares its parent's memory may not use anything that belongs to a thread of the
 * parent. The hazards, each of which has a rule in this folder:
 *
 *  1. errno, stdio, malloc, locks: the child may find them half changed. So: no libc.
 *  2. The parent's signal handlers would run in the child, on the parent's memory. So: every
 *     signal is blocked around the clone call, and the handlers are cleared before any is unblocked.
 *  3. Cancellation and the stack protector read the thread-local block. So: this folder is
 *     compiled without the protector, and a test shows that its archive imports nothing.
 *  4. The child's failure must reach the parent. So: it is written into memory that both see.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/unistd.h>
#include <syscall.h>

#define ramet_syscall0(n) ramet_syscall6(n, 0, 0, 0, 0, 0, 0)
#define ramet_syscall1(n, a) ramet_syscall6(n, (long)(a), 0, 0, 0, 0, 0)
#define ramet_syscall2(n, a, b) ramet_syscall6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define ramet_syscall3(n, a, b, c) ramet_syscall6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define ramet_syscall4(n, a, b, c, d) ramet_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define ramet_syscall5(n, a, b, c, d, e) \
    ramet_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/* The kernel's struct clone_args, all three versions (include/uapi/linux/sched.h). */
struct ramet_clone_args {
    uint64_t flags;
    uint64_t pidfd;
    uint64_t child_tid;
    uint64_t parent_tid;
    uint64_t exit_signal;
    uint64_t stack;
    uint64_t stack_size;
    uint64_t tls;
    uint64_t set_tid;      /* since 5.5 */
    uint64_t set_tid_size; /* since 5.5 */
    uint64_t cgroup;       /* since 5.7 */
};

_Static_assert(sizeof(struct ramet_clone_args) == 88, "CLONE_ARGS_SIZE_VER2");
_Static_assert(offsetof(struct ramet_clone_args, tls) == 56, "CLONE_ARGS_SIZE_VER0 is 64");
_Static_assert(offsetof(struct ramet_clone_args, set_tid_size) == 72, "CLONE_ARGS_SIZE_VER1 is 80");

/* What a child does first; arch/<cpu>/clone.S reads it by these offsets. */
struct ramet_entry {
    int (*run)(void *fn, void *arg, void *context);
    void *context;
    void *fn;
    void *arg;
    long exit_call;
};

_Static_assert(offsetof(struct ramet_entry, context) == 8, "clone.S");
_Static_assert(offsetof(struct ramet_entry, fn) == 16, "clone.S");
_Static_assert(offsetof(struct ramet_entry, arg) == 24, "clone.S");
_Static_assert(offsetof(struct ramet_entry, exit_call) == 32, "clone.S");

long ramet_clone3_call(struct ramet_clone_args *args, size_t size, const struct ramet_entry *entry);
long ramet_clone_call(unsigned long flags, void *stack, int *ptid, int *ctid, unsigned long tls,
                      const struct ramet_entry *entry);
void ramet_on_stack(void *top, void (*fn)(void *arg, void *left), void *arg);

/* clone_call.c: what the kernel is asked for, through either of its two calls. */
struct ramet_request {
    struct ramet_clone_args args;
    size_t size;  /* of args, for clone3 */
    bool legacy;  /* use clone(): the low byte of its flags is args.exit_signal */
    bool stopped; /* the child begins stopped, which the kernel no longer does itself */
};

/*
 * These flags, and no others of the same field of the structure, which has this address for them. What else the flags
 * are is decided before the request comes to C.
 */
void ramet_set_address(struct ramet_clone_args *args, uint64_t flags, const void *address);

/* Makes a task that runs entry->run; returns its pid or -errno. `stopped` is left to parent/clone_stopped.h. */
long ramet_make_task(const struct ramet_request *request, const struct ramet_entry *entry);

/* The same, but returns twice. */
long ramet_make_task_twice(const struct ramet_request *request);

#define RAMET_FN_AND_ARG_BYTES (2 * sizeof(uintptr_t))

/* The kernel's signal set: one bit a signal, bit 0 is signal 1. */
typedef uint64_t ramet_sigset;

#define RAMET_SIGNALS 64

/* The kernel's struct sigaction, which is not libc's. */
struct ramet_signal_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    ramet_sigset mask;
};

/* entry.c */
ramet_sigset ramet_block_signals(void);
void ramet_set_signal_mask(ramet_sigset mask);
long ramet_set_action(int signal, void *handler);
void ramet_clear_handlers(void);
int ramet_run_native(void *fn, void *arg, void *mask);

/*
 * gate.c: a child that begins stopped (CLONE_STOPPED, which the kernel no longer has) waits at a gate, which its
 * parent opens when SIGSTOP has stopped the child. The gate lies in a page that both sides share.
 */
struct ramet_gate {
    int open;
    int (*run)(void *fn, void *arg, void *context);
    void *context;
};

void ramet_gate_wait(struct ramet_gate *gate);
int ramet_run_gated(void *fn, void *arg, void *gate);

/*
 * probe.c: what the child of a raw request reports, which is made to see what the kernel answers. Lies in a page
 * that both sides share; the kernel writes the words before it.
 */
struct ramet_probe {
    int arrived;
    int open;
    int pid;
    int ppid;
    int tid;
};

int ramet_run_probe(void *fn, void *arg, void *probe);
