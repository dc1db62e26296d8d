/* Plans for the tests of launches. */
#pragma once

#include "plan.h"

extern char **environ;

/* Steps and operands as an initializer has them. */
#define STEP(name, ...) {RAMET_##name, {__VA_ARGS__}}
#define ADDRESS(of) ((uintptr_t)(of))

/* A program that ends with 42, found at the second place. */
static const char *const places[] = {"/nonexistent/sh", "/bin/sh", NULL}, *const nowhere[] = {"/nonexistent/sh", NULL};
static char *const argv[] = {"sh", "-c", "exit 42", NULL};

#define EXEC_SH STEP(EXEC, ADDRESS(places), ADDRESS(argv), ADDRESS(environ))
#define EXEC_NOTHING STEP(EXEC, ADDRESS(nowhere), ADDRESS(argv), ADDRESS(environ))

/* The holds are the test's: the plan is not freed. */
#define PLAN_OF(steps_of_it) \
    (struct ramet_plan){.holders = 1, .count = sizeof(steps_of_it) / sizeof(steps_of_it)[0], .steps = (steps_of_it)}
