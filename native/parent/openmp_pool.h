/*
 * The threads that libgomp, the OpenMP of GCC, keeps for the calling thread. libgomp has no handlers of a fork: a copy
 * of the thread that uses it waits for them for ever, and they are not there.
 */
#pragma once

#include <stdbool.h>

#define RAMET_MOST_OPENMP 8

typedef int ramet_openmp_pause(int kind);

/* Those libgomps that are loaded: torch, scikit-learn and others bring their own. */
struct ramet_openmp {
    int count;
    bool is_lost; /* a copy of the calling thread cannot have threads of its own */
    ramet_openmp_pause *pause[RAMET_MOST_OPENMP];
};

/*
 * What there is to end: nothing where this process is a copy by whose fork the threads may have been lost. When this is
 * called first, that is judged for functions in this memory as well. Not for several threads at once.
 */
struct ramet_openmp ramet_find_openmp(void);

/* Ends the threads; others are begun when they are needed. It ends none in a parallel region. */
void ramet_end_openmp_pools(struct ramet_openmp *here);

/* In a copy of the process: what was so before. */
void ramet_note_openmp_pools(const struct ramet_openmp *before);
