/*
 * When a task takes on another user's rights, the kernel marks its memory as not dumpable: that user
 * may then neither trace the task nor look into it. A child that does so in shared memory marks its
 * parent's. That is right until its exec, since the parent's secrets are there, and wrong after it.
 */
#ifndef RAMET_DUMPABLE_H
#define RAMET_DUMPABLE_H

#include <stdbool.h>

/*
 * Before the clone call of such a child, and after its exec; the last of several at a time restores the
 * mark. False: it cannot be kept, and is not to be restored.
 */
bool ramet_dumpable_save(void);
void ramet_dumpable_restore(void);

#endif
