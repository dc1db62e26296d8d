/* One request, two calls: clone3, and clone for what only it does or where clone3 is missing. */
#include "birth.h"

#include <errno.h>
#include <linux/sched.h>

#define VERSION_1_BYTES 80 /* CLONE_ARGS_SIZE_VER1 */
#define MOST_PID_LEVELS 32 /* MAX_PID_NS_LEVEL, include/linux/pid_namespace.h */

/* Whether clone3 refuses this as a kernel does that understands it; asked once. No child comes of it. */
static bool says_invalid(int *known, struct ramet_clone_args *args, size_t size)
{
    int answer = __atomic_load_n(known, __ATOMIC_RELAXED); /* 0 not asked yet, 1 yes, -1 no */
    if (answer == 0) {
        answer = ramet_syscall2(__NR_clone3, args, size) == -EINVAL ? 1 : -1;
        __atomic_store_n(known, answer, __ATOMIC_RELAXED);
    }
    return answer > 0;
}

/* A size of 0 is below every version. */
bool ramet_has_clone3(void)
{
    static int known;
    return says_invalid(&known, NULL, 0);
}

/* It came together with set_tid: a kernel before that says E2BIG, later ones that 33 pids are too many. */
bool ramet_has_clear_sighand(void)
{
    static int known;
    struct ramet_clone_args args = {.set_tid_size = MOST_PID_LEVELS + 1};
    return says_invalid(&known, &args, VERSION_1_BYTES);
}

/* No descriptor has this number, so none is closed. */
bool ramet_has_close_range(void)
{
    static int known;
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (answer == 0) {
        answer = ramet_syscall3(__NR_close_range, ~0U, ~0U, 0) == 0 ? 1 : -1;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer > 0;
}

uintptr_t ramet_lay(uintptr_t top, void *fn, void *arg)
{
    void **laid = (void **)(top - RAMET_LAID_BYTES);
    laid[0] = fn;
    laid[1] = arg;
    return (uintptr_t)laid;
}

/* clone() has one word for both: the pidfd goes where the parent's tid would go. */
static int *legacy_ptid(const struct ramet_clone_args *args)
{
    return (int *)(args->flags & CLONE_PIDFD ? args->pidfd : args->parent_tid);
}

static unsigned long legacy_flags(const struct ramet_clone_args *args)
{
    return (unsigned long)(args->flags | args->exit_signal);
}

static long by_clone(const struct ramet_clone_args *args, const struct ramet_entry *entry)
{
    uintptr_t stack = (uintptr_t)(args->stack + args->stack_size);
    if (stack != 0)
        stack = ramet_lay(stack, entry->fn, entry->arg);
    return ramet_clone_call(legacy_flags(args), (void *)stack, legacy_ptid(args), (int *)args->child_tid,
                            (unsigned long)args->tls, entry);
}

static long by_clone3(struct ramet_clone_args args, size_t size, const struct ramet_entry *entry)
{
    if (args.stack != 0 && args.stack_size > RAMET_LAID_BYTES) {
        ramet_lay((uintptr_t)(args.stack + args.stack_size), entry->fn, entry->arg);
        args.stack_size -= RAMET_LAID_BYTES;
    }
    return ramet_clone3_call(&args, size, entry);
}

static long make(const struct ramet_request *request, const struct ramet_entry *entry)
{
    if (request->legacy)
        return by_clone(&request->args, entry);
    return by_clone3(request->args, request->size, entry);
}

long ramet_birth(const struct ramet_request *request, const struct ramet_entry *entry)
{
    if (!request->stopped)
        return make(request, entry);
    struct ramet_gate *gate = ramet_gate_new();
    if (gate == NULL)
        return -ENOMEM;
    gate->run = entry->run;
    gate->context = entry->context;
    struct ramet_entry gated = *entry;
    gated.run = ramet_run_gated;
    gated.context = gate;
    long pid = make(request, &gated);
    ramet_gate_hold(gate, pid, (request->args.flags & CLONE_VM) != 0);
    return pid;
}

static long make_twice(const struct ramet_request *request)
{
    struct ramet_clone_args args = request->args;
    if (!request->legacy)
        return ramet_syscall2(__NR_clone3, &args, request->size);
    return ramet_clone_twice(legacy_flags(&args), legacy_ptid(&args), (int *)args.child_tid, args.tls);
}

long ramet_birth_twice(const struct ramet_request *request)
{
    if (!request->stopped)
        return make_twice(request);
    struct ramet_gate *gate = ramet_gate_new();
    if (gate == NULL)
        return -ENOMEM;
    long pid = make_twice(request);
    if (pid == 0)
        ramet_gate_wait(gate);
    ramet_gate_hold(gate, pid, false);
    return pid;
}
