/* A copy of libc's environment, which other threads may change at any moment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* All zero: nothing is taken yet. */
struct ramet_environment {
    bool taken;
    size_t count;  /* how many strings */
    size_t length; /* of all of them, each with its 0 */
    char *text;    /* one after the other */
};

/* Takes the copy, if there is none yet. False when there is no memory for it. */
bool ramet_environment_take(struct ramet_environment *environment);
void ramet_environment_release(struct ramet_environment *environment);
