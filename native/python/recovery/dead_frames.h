/* What a child that died in the midst of a function has left of its frames. */
#ifndef RAMET_DEAD_FRAMES_H
#define RAMET_DEAD_FRAMES_H

#include "reach.h"

#define CORE_MOST_NOTED 512 /* words, for the frames that it entered last */

/* What lay on its stack, as far up as it is copied, in a block of the kernel's. */
struct core_dead_stack {
    void **words; /* the last of them lay below `top` */
    size_t count;
    unsigned long top;
    void *block;
    size_t room; /* 0 where there is none */
};

/* Whether it died in the midst of the garbage collector, which nobody else can use then. */
enum core_collecting { CORE_NOT_COLLECTING, CORE_COLLECTOR_GIVEN_BACK, CORE_COLLECTOR_STAYS };

struct core_dead_frames {
    uintptr_t newest; /* the address of the first */
    long frames;
    long references; /* of their variables, and of what else they are known to hold */
    bool has_objects; /* some frame can be reached from elsewhere */
    unsigned long ident; /* of the dead task, to Python */
    struct core_dead_stack stack;
    enum core_collecting collecting;
    bool was_at_work; /* in native code that computed, when it was killed after all */
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

/*
 * With the GIL, of a task that stood where other threads could run. Whoever has a frame as an object has it for
 * himself afterwards, with those that called it, as after a return. False when there is no memory for it.
 */
bool core_settle_frames(struct core_dead_frames *found);

/* Whether it is an object that has its frame for itself. */
bool core_is_whole_frame(PyObject *object);

/* Before what was the dead one's is freed: a generator in which it died does not lead there any more. */
void core_cut_generators(const struct core_dead_frames *found);

/* Once they are settled: adds what they own for certain to the list. False when there is no memory for it. */
bool core_owned_by_frames(const struct core_dead_frames *found, struct core_objects *owned);

/* Takes it away from them: from here on it is the caller's to give up. How many of the found references it was. */
long core_empty_frames(const struct core_dead_frames *found);

/* With the GIL: the noted ones as a list of (code, variables, entries), the last entered first; NULL with an exception set. */
PyObject *core_noted_frames(const struct core_dead_frames *found);

#endif
