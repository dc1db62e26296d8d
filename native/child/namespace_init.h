/*
 * The init of a pid namespace, which does nothing but live: the kernel reaps who is reparented to it, and kills all
 * of the namespace when it ends. It shares the memory of the process that made it, and nothing else.
 */
#pragma once

/* Descriptors of two processes, negative where there is none. */
struct ramet_init_watch {
    int parent; /* with it the init ends; where there is none, with the thread that is its parent */
    int maker;  /* without it the init ends when it is alone in its namespace: who is to end it may not know of it */
};

/* The init; context is its watch. It is made with all signals blocked. */
int ramet_run_namespace_init(void *fn, void *arg, void *context);
