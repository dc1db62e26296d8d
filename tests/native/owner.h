/* A process that ends and leaves children in its memory behind: who kills them is what is tested. */
#pragma once

#include <sys/prctl.h>

#include "check.h"

/* Runs it in a process of its own that ends with 42; then all that is left must end, and so many be killed. */
static inline void expect_killed_with_owner(void (*run)(void), int expected)
{
    int status, killed = 0;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    pid_t owner = fork();
    if (owner == 0) {
        run();
        _exit(FOUND);
    }
    CHECK(code_of(owner) == FOUND);
    while (waitpid(-1, &status, __WALL) > 0)
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    CHECK(killed == expected);
}
