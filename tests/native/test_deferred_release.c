/* What is lent to a task stays in use until the task is gone, and no longer. */
#include "check.h"
#include "deferred_release.h"

int main(void)
{
    struct ramet_stack *stack = ramet_stack_new(4096);
    struct ramet_word *words[2] = {ramet_word_new(), NULL};
    CHECK(stack != NULL && words[0] != NULL);
    long pid = start_sharer(wait_for_ever, NULL, 0);
    CHECK(ramet_defer_release(pid, false, stack, words));
    ramet_release_deferred();
    CHECK(ramet_stack_in_use(stack) && words[0]->holders == 2);
    kill((pid_t)pid, SIGKILL);
    CHECK(code_of(pid) == -SIGKILL);
    ramet_release_deferred();
    CHECK(!ramet_stack_in_use(stack) && stack->holders == 1 && words[0]->holders == 1);
    ramet_stack_release(stack);
    ramet_word_release(words[0]);
    return passed();
}
