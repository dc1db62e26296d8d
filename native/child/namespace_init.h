/*
 * The init of a pid namespace, which does nothing but live: the kernel reaps who is reparented to it, and kills all
 * of the namespace when it ends. It shares the memory of the process that made it, and nothing else.
 */
#pragma once

/* Descriptors of two processes, negative where there is none. */
struct ramet_init_watch {
    int parent; /* with it the init ends; where there is none, with the thread that is its parent */
    int maker;  /* without it the init ends when it is alone in its namespace: who is to end it may not know of it */
    /* For ramet_run_init_of_child() alone: */
    int begun;   /* a futex word */
    int told_by; /* a socket over which a listener of seccomp comes, or -1 */
    int *told;   /* then: the call that the listener tells of, at which all are killed: see RAMET_FOREIGN_CALL */
};

#define RAMET_FOREIGN_CALL 0x20000000 /* beside its number: it is one of another architecture */

/* The init; context is its watch. It is made with all signals blocked. */
int ramet_run_namespace_init(void *fn, void *arg, void *context);

/*
 * The init of a namespace that is made for one child, the first in it after the init, which sets `begun` when it runs:
 * the init ends with that child or with the parent, whichever ends first, and before `begun` with the maker.
 */
int ramet_run_init_of_child(void *fn, void *arg, void *context);
