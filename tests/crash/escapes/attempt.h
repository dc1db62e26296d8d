/* What an attempt to escape is: a row with a name, and code that tries it.
 *
 * ESCAPE(name, evidence, unconfined, sentence) { ... } adds one; rows.py reads the same lines. The group is
 * the file. The code gives THROUGH, STOPPED or UNTRIED, and the process ends with it.
 * evidence: WORD, the attempt's own word counts; SEEN, somebody outside must see that something changed, or find
 * the secret in what was printed. unconfined: who gets through without a sandbox: "all", also "all since 5.12" of Linux or
 * "all where kernel.perf_event_paranoid <= 2", "root", or "some: why", which depends on the machine, or "none: why". Nothing here changes the machine for others, with or without a sandbox. */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum outcome { THROUGH = 0, STOPPED = 1, UNTRIED = 2 };
enum evidence { WORD, SEEN };

struct escape {
    const char *name;
    int (*attempt)(void);
    struct escape *next;
};

void add_escape(struct escape *);

#define ESCAPE(called, evidence, unconfined, sentence)                                              \
    static int attempt_##called(void);                                                              \
    static struct escape escape_##called = {.name = #called, .attempt = attempt_##called};         \
    __attribute__((constructor)) static void add_##called(void) { add_escape(&escape_##called); }   \
    static int attempt_##called(void)

/* What the stage has told: key=value arguments. */
const char *given(const char *key);
long number(const char *key);            /* decimal or 0x...; -1 where it is not given */
const char *below(const char *key, const char *name); /* given(key)/name, in static memory that is used again */
bool is_confined(void);

/* An outcome from what a call gave: negative is refused, and errno is printed. */
int outcome_of(long result);
int untried(const char *why);

/* Whether something was read; prints it. Closes the descriptor. */
int printed(int descriptor);
int printed_file(const char *path);
int printed_memory(const void *memory, size_t size);
/* Writes a line there, and closes it. */
int defaced(int descriptor);
int defaced_file(const char *path, int more_flags);

/* Runs it in a new process and gives its outcome. */
int in_child(int (*attempt)(void));
/* A user namespace or, for root without a sandbox, none; with namespaces more. Fails as unshare() does. */
int own_namespaces(int more);
int written_file(const char *path, const char *text);
pid_t sleeping_child(void);

#define SHOT "escaped\n"

#endif
