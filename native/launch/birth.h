/* The parent's side of a birth. */
#ifndef RAMET_BIRTH_H
#define RAMET_BIRTH_H

#include <stdbool.h>

#include "child.h"

/*
 * Whether clone3 is there: a kernel before 5.3 lacks it, and some filters of containers hide it. Asked anew
 * each time, in the thread that will make the birth and before its signals are blocked: a filter may come
 * later, for one thread alone, and may send a SIGSYS.
 */
bool ramet_has_clone3(void);

/* Whether close_range is there, which came with 5.9. */
bool ramet_has_close_range(void);

/* Whether clone3 knows CLEAR_SIGHAND, which came with 5.5. */
bool ramet_has_clear_sighand(void);

/*
 * Makes a task that runs entry->run. Returns its pid or -errno. The caller has blocked all signals;
 * the child begins with them blocked, and run lets them in.
 */
long ramet_birth(const struct ramet_request *request, const struct ramet_entry *entry);

/* The same, but returns twice, as fork() does: only for a child with a memory of its own. */
long ramet_birth_twice(const struct ramet_request *request);

/* gate.c */
struct ramet_gate *ramet_gate_new(void);
void ramet_gate_hold(struct ramet_gate *gate, long pid, bool shares_memory);

/* SIGSTOP for a child, and a wait until it has taken hold. */
void ramet_stop(long pid);

#endif
