/* One launch, as the calling thread makes it and as a sponsor makes it for another. */
#ifndef RAMET_LAUNCH_H
#define RAMET_LAUNCH_H

#include "spawn.h"

/*
 * Carries out launch->plan in a child, whose program begins with launch->mask. Comes back when it
 * has exec'ed or ended: its pid or -errno. The calling thread is its parent, and has blocked all signals.
 */
long ramet_launch(const struct ramet_request *request, struct ramet_launch *launch);

void ramet_read_report(const struct ramet_launch *launch, struct ramet_report *report);

#endif
