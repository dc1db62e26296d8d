/*
 * When a task takes another user's rights, the kernel marks its memory as not dumpable: then that user
 * may neither trace the task nor read its memory. A child that does so in shared memory marks its parent's
 * memory. That is right until the exec, since the parent's secrets are there, and wrong after it.
 */
#pragma once

#include <stdbool.h>

/*
 * Before the clone call of such a child, and after its exec. Of several launches at a time the last one restores
 * the mark. False: it cannot be saved, and is not to be restored.
 */
bool ramet_dumpable_save(void);
void ramet_dumpable_restore(void);
