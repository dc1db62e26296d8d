/* A stack has a guard page below it, is in use while a task may be on it, and is freed by its last holder. */
#include "check.h"
#include "lent_memory.h"

static int code_of_write_to(uintptr_t address)
{
    pid_t pid = fork();
    if (pid == 0) {
        *(volatile char *)address = 1;
        _exit(FOUND);
    }
    return code_of(pid);
}

int main(void)
{
    struct ramet_stack *stack = ramet_stack_new(10000);
    CHECK(stack != NULL && stack->size >= 10000);
    CHECK(code_of_write_to(stack->base) == FOUND && code_of_write_to(stack->base + stack->size - 1) == FOUND);
    CHECK(code_of_write_to(stack->base - 1) == -SIGSEGV);
    CHECK(!ramet_stack_in_use(stack));
    ramet_stack_occupy(stack);
    CHECK(ramet_stack_in_use(stack) && stack->holders == 2);
    ramet_stack_leave(stack);
    CHECK(!ramet_stack_in_use(stack) && stack->holders == 1);
    uintptr_t base = stack->base;
    ramet_stack_release(stack);
    CHECK(msync((void *)base, 1, MS_ASYNC) == -1 && errno == ENOMEM); /* it is unmapped */
    CHECK(ramet_stack_new(SIZE_MAX) == NULL && errno == ENOMEM);
    struct ramet_word *word = ramet_word_new();
    CHECK((int *)word == &word->value && word->value == 0);
    CHECK(ramet_word_hold(word) == word);
    ramet_word_release(word);
    CHECK(word->holders == 1);
    ramet_word_release(word);
    return passed();
}
