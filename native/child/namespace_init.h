/*
 * The init of a pid namespace, which does nothing but live: the kernel reaps who is reparented to it, and kills all
 * of the namespace when it ends, which is when the child ends for which it was made. It shares the memory of the
 * process that made it, and nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A range of addresses, in whole pages. */
struct ramet_range {
    uintptr_t start, end;
};

/* Descriptors of two processes, negative where there is none. */
struct ramet_init_watch {
    int parent; /* with it the init ends; where there is none, with the thread that is its parent */
    int maker;  /* without it the init ends when it is alone in its namespace: who is to end it may not know of it */
    int begun;  /* a futex word, set when there is the child for which the namespace is made: its number there */
    int follows; /* a futex word, set when the init has asked for a signal at the end of its parent, if it does */
    int init;   /* its pid for its maker, who looks for it by that */
    /*
     * For ramet_run_namespace_init() alone. Where it gives the memory back, nobody else uses that once the maker is gone: the
     * init unmaps all but the two ranges, in which it runs, and closes the descriptor.
     */
    bool gives_back;
    int held;
    struct ramet_range needed[2];
    /* For ramet_run_init_of_child() alone: */
    int told_by; /* a socket over which a listener of seccomp comes, or -1 */
    int *told;   /* then: the call that the listener tells of, at which all are killed: see RAMET_FOREIGN_CALL */
    /*
     * After the child's end it kills the others alone, and lives for a second, or until it is killed: what it takes with it,
     * a mount namespace above all, takes longer than most children, and its parent may have a use for the time.
     */
    bool stays;
};

#define RAMET_FIRST_CHILD 2 /* the number in the namespace of the first after its init, if it did not choose another */
#define RAMET_FOR_ALL (-1)  /* in place of a number: the namespace is for more than one child, and ends with none of them */

/* Whether a filter of seccomp, or an older kernel, has hidden the call that has returned this. */
bool ramet_is_hidden(long error);

#define RAMET_FOREIGN_CALL 0x20000000 /* beside its number: it is one of another architecture */

/* The init; context is its watch. It is made with all signals blocked, and ends with the child of `begun` as well. */
int ramet_run_namespace_init(void *fn, void *arg, void *context);

/*
 * The init of a namespace that is made for one child, the first in it after the init, which sets `begun` when it runs:
 * the init ends with that child or with the parent, whichever ends first, and before `begun` with the maker.
 */
int ramet_run_init_of_child(void *fn, void *arg, void *context);
