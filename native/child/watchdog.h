/*
 * A task that kills the children in shared memory when the process that made them ends: it waits for that
 * end. It shares the memory and nothing else.
 */
#pragma once

#include "child.h"

#define RAMET_WATCHED_AT_ONCE 255

/* RAMET_WATCHDOG_CHANGES: a thread of the owner is starting or ending it. */
enum ramet_watchdog_stage { RAMET_NO_WATCHDOG, RAMET_WATCHDOG_CHANGES, RAMET_WATCHDOG_WATCHES };

/* The pids of children, by PARENT_SETTID; 0: a free place, -1: a place that is taken, without a child yet. */
struct ramet_watched {
    int pids[RAMET_WATCHED_AT_ONCE];
    struct ramet_watched *next;
};

/* What the watchdog and its owner share. */
struct ramet_watchdog {
    int stage; /* a futex word */
    int owner; /* the process that is watched... */
    int pidfd; /* ...by this descriptor of the watchdog's */
    int pid;   /* the watchdog's own */
    int alive; /* a futex word: the kernel clears it when the watchdog has left the memory */
    struct ramet_watched watched;
};

/* Whether a place is taken. */
bool ramet_watchdog_has_children(const struct ramet_watchdog *watchdog);

/* The watchdog; context is its struct. It ends with the owner, or when it has had no watched child for some seconds. */
int ramet_run_watchdog(void *fn, void *arg, void *context);
