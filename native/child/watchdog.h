/*
 * A task that sees to it that children in shared memory do not outlive the process that made them:
 * it waits for the end of that process, and kills them. It shares the memory and nothing else.
 */
#ifndef RAMET_WATCHDOG_H
#define RAMET_WATCHDOG_H

#include "child.h"

#define RAMET_WATCHED_AT_ONCE 255

/* RAMET_WATCHDOG_CHANGES: some thread of the owner's starts it, or ends it. */
enum ramet_watchdog_stage { RAMET_NO_WATCHDOG, RAMET_WATCHDOG_CHANGES, RAMET_WATCHDOG_WATCHES };

/* The pids of children, by PARENT_SETTID; 0 a free place, -1 a place taken. */
struct ramet_watched {
    int pids[RAMET_WATCHED_AT_ONCE];
    struct ramet_watched *next;
};

/* What the two sides share. */
struct ramet_watchdog {
    int stage; /* a futex */
    int owner; /* the process that is watched... */
    int pidfd; /* ...by this descriptor of the watchdog's */
    int watchdog;
    int alive; /* a futex: cleared by the kernel when the watchdog is off the memory */
    struct ramet_watched watched;
};

/* The watchdog: context is the guard. It ends with the owner, or by itself when it has had no watched children for some seconds. */
int ramet_watchdog(void *fn, void *arg, void *context);

#endif
