/*
 * The threads that libgomp, the OpenMP of GCC, keeps for the calling thread. libgomp has no handlers of a fork: a copy
 * of the thread that uses it waits for them for ever, and they are not there.
 */
#pragma once

/*
 * Ends the threads of each libgomp that is loaded (torch, scikit-learn and others bring their own); it begins others
 * when it needs them. It does nothing in a parallel region, nor where this process is a copy by whose fork they
 * were lost. Not for several threads at once.
 */
void ramet_end_openmp_pools(void);

/* When the library is loaded: whether this process is such a copy, for functions in its memory as well. */
void ramet_judge_openmp_pools(void);

/* In a copy of the process: for it they were ended before, if they could be. */
void ramet_note_openmp_pools(void);
