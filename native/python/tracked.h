/* All objects that the garbage collector of this interpreter knows. */
#ifndef RAMET_TRACKED_H
#define RAMET_TRACKED_H

#include "core.h"

/*
 * Shows each of them to visit(), with the GIL, those among them that gc.freeze() hides from gc.get_objects(), as
 * long as it says that it goes on. Nothing may be made or given up meanwhile that the collector would know.
 */
void core_visit_tracked(bool (*visit)(PyObject *object, void *context), void *context);

#endif
