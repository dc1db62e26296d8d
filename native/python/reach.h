/* What is reached from some references and from nowhere else. */
#ifndef RAMET_REACH_H
#define RAMET_REACH_H

#include "core.h"

/* Its items are from malloc. */
struct core_objects {
    PyObject **items;
    size_t count, room;
};

/* False when there is no memory for it. */
bool core_objects_add(struct core_objects *objects, PyObject *object);
void core_objects_free(struct core_objects *objects);

/*
 * With the GIL. Finds what has to be kept alive before these references, each of which is owned, are
 * given up: then nothing that is not plain ends with them, now or when the garbage collector finds a
 * cycle that they have left. Nothing is changed. False where that could not be found out.
 */
bool core_reach(const struct core_objects *references, struct core_objects *kept);

#endif
