/*
 * Memory that a task may still use after its Python object is gone: stacks and tid words. Each is
 * held by its object and by every host thread that lent it out, and goes when the last lets go.
 */
#ifndef RAMET_LENT_MEMORY_H
#define RAMET_LENT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ramet_stack {
    int holders;
    int users; /* tasks that may be on it, and host threads that have not yet seen theirs leave */
    int word;  /* CHILD_CLEARTID of a hosted task: 0 once it is off the stack */
    uintptr_t base;
    size_t size;
    size_t guard;
};

struct ramet_word {
    int value; /* first: the kernel is given the address of the whole */
    int holders;
};

/* A mapping of `size` bytes, rounded up to whole pages, with a guard page below. NULL with errno set. */
struct ramet_stack *ramet_stack_new(size_t size);
struct ramet_stack *ramet_stack_hold(struct ramet_stack *stack);
void ramet_stack_release(struct ramet_stack *stack);

/* A task begins on the stack; what lent it ends that, in its own hold. */
void ramet_stack_occupy(struct ramet_stack *stack);
void ramet_stack_leave(struct ramet_stack *stack);

/* Whether a task may be on it; waits for a host thread whose task has left to say so. */
bool ramet_stack_in_use(struct ramet_stack *stack);

struct ramet_word *ramet_word_new(void);
struct ramet_word *ramet_word_hold(struct ramet_word *word);
void ramet_word_release(struct ramet_word *word);

#endif
