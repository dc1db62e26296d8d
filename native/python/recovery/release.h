/* The memory of a function that was killed where other threads could run. */
#ifndef RAMET_RELEASE_H
#define RAMET_RELEASE_H

#include "dead_frames.h"

struct core_release {
    long given_up; /* of the references that were found */
    struct core_objects references; /* that were the dead one's, and are the release's */
    struct core_objects kept;       /* to each of which a reference was added, for ever */
};

/*
 * With the GIL, before the state is deleted: takes what the frames, the state and the task (which may be NULL) hold,
 * and keeps alive what is not plain and only they held. All stays as it was where that is not to be found
 * out: then the release is empty.
 */
void core_release_take(struct core_release *release, PyThreadState *dead, struct core_dead_frames *found,
                       SharedTaskObject *task);

/* With the GIL, when nobody needs any of it any more: gives up what was taken. */
void core_release_finish(struct core_release *release);

#endif
