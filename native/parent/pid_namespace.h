/* A new pid namespace for children of this process, or of its parent. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "namespace_init.h"

/* What an init uses for as long as it lives: the kernel clears `alive` when it has left this memory. */
struct ramet_init_place {
    int *alive; /* NULL: there is no memory */
    struct ramet_init_watch *watch;
    uintptr_t stack;
    size_t stack_size;
    const void *memory; /* in which all of these lie */
    size_t memory_size;
};

/* One that no init uses; it is to be given back where none is made. Threads may call both at a time. */
struct ramet_init_place ramet_take_init_place(void);
void ramet_give_init_place_back(const struct ramet_init_place *place);

/*
 * Makes the init of a new pid namespace, as a child of the calling process's parent: a task in this memory. It ends
 * with that parent and, when this process is gone, as soon as nothing else is in the namespace. Returns its pid or
 * -errno, and in *pidfd a descriptor (O_CLOEXEC) of it, which is the caller's.
 *
 * held: a descriptor that the init keeps open until this process has ended and the init has unmapped what was its memory,
 * in which nothing else may run then; -1: the memory stays as long as the init does.
 */
long ramet_new_pid_namespace(int *pidfd, int held);

/*
 * Tells that init, by its pid, which child the namespace is for: RAMET_FIRST_CHILD, another number there, or RAMET_FOR_ALL.
 * To be called once, as soon as there is that child.
 */
void ramet_begin_in_pid_namespace(int init, int child);
