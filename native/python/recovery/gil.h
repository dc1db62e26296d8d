/* The GIL that a child took along, killed as it takes the GIL, waits for it or gives it up. */
#ifndef RAMET_GIL_H
#define RAMET_GIL_H

#include "core.h"

/*
 * Gives back what protects the GIL of that state, where the dead child held it, and takes the dead off the
 * count of those who wait for the GIL; tid: libc's own on the child's block.
 */
void core_gil_mend(const PyThreadState *dead, int tid);

/*
 * The same for a child that had the GIL when it died, as after an exec: then it held none of what protects it.
 * But threads of its own may have died as they waited.
 */
void core_gil_mend_after_holder(const PyThreadState *dead);

/* The same for a child that is stopped and will be killed, and sleeps on this word. */
void core_gil_strike_off(const int *word);

/* With the GIL, in this state: nobody has asked for it. So it is also after the death of whoever had asked. */
void core_gil_forget_requests(PyThreadState *holder);

/* Whether this state has it, now. By raw reads. */
bool core_gil_is_with(const PyThreadState *state);

/* Then: gives up the GIL itself, where the dead child had it and was not, or no longer, attached. */
void core_gil_release(const PyThreadState *dead);

/*
 * Gives up the GIL of that state where a thread had it that has ended as a task, as one does that ends, or execs, or
 * is killed, with the child that had started it. Whether it did.
 */
bool core_gil_release_of_ended(const PyThreadState *state);

#endif
