/* Stacks and tid words are counted by their holders, stacks also by their users. */
#define _GNU_SOURCE
#include "lent_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "futex.h"

static bool last_of(int *holders)
{
    return __atomic_sub_fetch(holders, 1, __ATOMIC_ACQ_REL) == 0;
}

struct ramet_stack *ramet_stack_new(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size > SIZE_MAX / 2) {
        errno = ENOMEM;
        return NULL;
    }
    size = (size + page - 1) & ~(page - 1);
    struct ramet_stack *stack = calloc(1, sizeof *stack);
    if (stack == NULL)
        return NULL;
    void *block = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
                       -1, 0);
    if (block == MAP_FAILED || mprotect(block, page, PROT_NONE) < 0) {
        int error = errno;
        if (block != MAP_FAILED)
            munmap(block, size + page);
        free(stack);
        errno = error;
        return NULL;
    }
    *stack = (struct ramet_stack){.holders = 1, .base = (uintptr_t)block + page, .size = size, .guard = page};
    return stack;
}

void ramet_stack_release(struct ramet_stack *stack)
{
    if (!last_of(&stack->holders))
        return;
    munmap((void *)(stack->base - stack->guard), stack->size + stack->guard);
    free(stack);
}

void ramet_stack_occupy(struct ramet_stack *stack)
{
    __atomic_add_fetch(&stack->holders, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&stack->word, -1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&stack->users, 1, __ATOMIC_ACQ_REL);
}

void ramet_stack_leave(struct ramet_stack *stack)
{
    __atomic_sub_fetch(&stack->users, 1, __ATOMIC_ACQ_REL);
    ramet_futex_wake(&stack->users);
    ramet_stack_release(stack);
}

bool ramet_stack_in_use(struct ramet_stack *stack)
{
    int users;
    while ((users = __atomic_load_n(&stack->users, __ATOMIC_ACQUIRE)) != 0) {
        if (__atomic_load_n(&stack->word, __ATOMIC_ACQUIRE) != 0)
            return true;
        ramet_futex_wait(&stack->users, users, NULL);
    }
    return false;
}

struct ramet_word *ramet_word_new(void)
{
    struct ramet_word *word = calloc(1, sizeof *word);
    if (word != NULL)
        word->holders = 1;
    return word;
}

struct ramet_word *ramet_word_hold(struct ramet_word *word)
{
    __atomic_add_fetch(&word->holders, 1, __ATOMIC_RELAXED);
    return word;
}

void ramet_word_release(struct ramet_word *word)
{
    if (last_of(&word->holders))
        free(word);
}

void ramet_lent_memory_leave(struct ramet_stack *stack, struct ramet_word *const words[2])
{
    if (stack != NULL)
        ramet_stack_leave(stack);
    for (int i = 0; i < 2; i++)
        if (words[i] != NULL)
            ramet_word_release(words[i]);
}
