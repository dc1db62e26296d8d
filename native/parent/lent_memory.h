/*
 * Memory that a task may still use after its Python object is gone: stacks and tid words. Each is held
 * by its object and by every host thread that lent it, and is freed when the last one releases it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ramet_stack {
    int holders;
    int users; /* tasks that may use it, with those that have left it but whose host thread has not seen that yet */
    int word;  /* CHILD_CLEARTID of a hosted child: 0 when it has left the stack */
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
void ramet_stack_release(struct ramet_stack *stack);

/* A task begins to use the stack; what lent the stack calls leave(). Both change the holds, too. */
void ramet_stack_occupy(struct ramet_stack *stack);
void ramet_stack_leave(struct ramet_stack *stack);

/* Whether a task may use it. Waits for a host thread whose task has left it already. */
bool ramet_stack_in_use(struct ramet_stack *stack);

/* A task has left its stack and its words, any of which may be NULL. */
void ramet_lent_memory_leave(struct ramet_stack *stack, struct ramet_word *const words[2]);

struct ramet_word *ramet_word_new(void);
struct ramet_word *ramet_word_hold(struct ramet_word *word);
void ramet_word_release(struct ramet_word *word);
