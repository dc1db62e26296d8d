/* One request, two calls: clone3, and clone for what clone3 cannot do and for kernels without it. */
#include "child.h"

#include <linux/sched.h>

/* Where a child that begins at `top` finds them; returns its first stack pointer. */
static uintptr_t push_fn_and_arg(uintptr_t top, void *fn, void *arg)
{
    void **words = (void **)(top - RAMET_FN_AND_ARG_BYTES);
    words[0] = fn;
    words[1] = arg;
    return (uintptr_t)words;
}

static uint64_t *field_of(struct ramet_clone_args *args, uint64_t flags, uint64_t *all)
{
    *all = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    if (flags & *all)
        return &args->child_tid;
    *all = flags;
    return flags == CLONE_PIDFD ? &args->pidfd : flags == CLONE_PARENT_SETTID ? &args->parent_tid : &args->tls;
}

void ramet_set_address(struct ramet_clone_args *args, uint64_t flags, const void *address)
{
    uint64_t all, *field = field_of(args, flags, &all);
    args->flags = (args->flags & ~all) | flags;
    *field = (uintptr_t)address;
}

/* clone() has one argument for both addresses: the pidfd goes where the tid would go. */
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
        stack = push_fn_and_arg(stack, entry->fn, entry->arg);
    return ramet_clone_call(legacy_flags(args), (void *)stack, legacy_ptid(args), (int *)args->child_tid,
                            (unsigned long)args->tls, entry);
}

/* Word by word: some compilers turn an assignment into a call of memcpy. */
static void copy(struct ramet_clone_args *to, const struct ramet_clone_args *from)
{
    for (size_t i = 0; i < sizeof *to / sizeof(uint64_t); i++)
        ((uint64_t *)to)[i] = ((const uint64_t *)from)[i];
}

/* In a copy, since the size of a given stack is less by what lies at its top. */
static long by_clone3(const struct ramet_request *request, const struct ramet_entry *entry)
{
    struct ramet_clone_args args;
    copy(&args, &request->args);
    if (args.stack != 0 && args.stack_size > RAMET_FN_AND_ARG_BYTES) {
        push_fn_and_arg((uintptr_t)(args.stack + args.stack_size), entry->fn, entry->arg);
        args.stack_size -= RAMET_FN_AND_ARG_BYTES;
    }
    return ramet_clone3_call(&args, request->size, entry);
}

long ramet_make_task(const struct ramet_request *request, const struct ramet_entry *entry)
{
    return request->legacy ? by_clone(&request->args, entry) : by_clone3(request, entry);
}

long ramet_make_task_twice(const struct ramet_request *request)
{
    const struct ramet_clone_args *args = &request->args;
    if (!request->legacy)
        return ramet_syscall2(__NR_clone3, args, request->size);
    return ramet_clone_call_twice(legacy_flags(args), legacy_ptid(args), (int *)args->child_tid, args->tls);
}
