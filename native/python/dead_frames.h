/* What a child that died in the midst of a function has left of its frames. */
#ifndef RAMET_DEAD_FRAMES_H
#define RAMET_DEAD_FRAMES_H

#include "core.h"

#define CORE_MOST_NOTED 512 /* words, for the frames that it entered last */

struct core_dead_frames {
    long frames;
    long references; /* of their variables, and of the blocks that they had entered */
    bool has_objects; /* some frame can be reached from elsewhere */
    unsigned long ident; /* of the dead task, to Python */
    int noted;
    /* For each frame: its code, how many variables, these, how many entries of blocks, these. 0 where there is none. */
    uintptr_t words[CORE_MOST_NOTED];
};

/*
 * Looks at the frames of a state on which nothing runs any more. To be called from another stack than
 * the dead task's, a part of which they are, and before anybody uses that again; needs no GIL. It also
 * links the frames past those parts, so that who holds one of them can go through them later.
 */
void core_look_at_frames(const PyThreadState *dead, struct core_dead_frames *found);

/* With the GIL: the noted ones as a list of (code, variables, entries), the last entered first; NULL with an exception set. */
PyObject *core_noted_frames(const struct core_dead_frames *found);

#endif
