/* A clone call whose child may begin stopped. */
#pragma once

#include <stdbool.h>

#include "child.h"

/*
 * Makes a task that runs entry->run. Returns its pid or -errno. The caller has blocked all signals;
 * the child begins with them blocked, and run unblocks them.
 */
long ramet_clone(const struct ramet_request *request, const struct ramet_entry *entry);

/* The same, but returns twice, as fork() does: only for a child with a memory of its own. */
long ramet_clone_twice(const struct ramet_request *request);

/* Sends a child SIGSTOP and waits until it has stopped. */
void ramet_stop(long pid);
