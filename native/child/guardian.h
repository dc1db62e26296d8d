/*
 * A task that sees to it that children in shared memory do not outlive the process that made them:
 * it waits for the end of that process, and kills them. It shares the memory and nothing else.
 */
#ifndef RAMET_GUARDIAN_H
#define RAMET_GUARDIAN_H

#include "child.h"

#define RAMET_MOST_WARDS 1000

enum ramet_guard_stage { RAMET_NO_GUARDIAN, RAMET_GUARDIAN_STARTS, RAMET_GUARDIAN_WATCHES };

/* What the two sides share. */
struct ramet_guard {
    int stage; /* a futex */
    int owner; /* the process that is watched... */
    int pidfd; /* ...by this descriptor of the guardian's */
    int guardian;
    int wards[RAMET_MOST_WARDS]; /* the pids of the children, by PARENT_SETTID; 0 a free place, -1 a place taken */
};

/* The guardian: context is the guard. It ends with the owner, or by itself when it has had no wards for a while. */
int ramet_guardian(void *fn, void *arg, void *context);

#endif
