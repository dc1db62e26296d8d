/*
 * When a task takes another user's rights, the kernel marks its memory as not dumpable: then that user
 * may neither trace the task nor read its memory. A child that does so in shared memory marks its parent's
 * memory. That is right until the exec, since the parent's secrets are there, and wrong after it.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/*
 * Before the clone call of such a child, and after its exec or end. Of several launches at a time the last one restores
 * the mark. 0: it cannot be saved, and is not to be restored.
 *
 * made, left: words by which the child's way is known without who launches it, who may be killed meanwhile. The child uses
 * this memory while both are other than 0. They stay where they are until the mark is restored, or for ever; NULL: none.
 */
uint64_t ramet_dumpable_save(const int *made, const int *left);
void ramet_dumpable_restore(uint64_t saved);

/*
 * A process that shared this memory has ended, by its pid as it saw it: nobody restores what it has saved. That is done
 * here when its children have left the memory, or by the next who comes by after that.
 */
void ramet_dumpable_abandon(pid_t process);
void ramet_dumpable_settle(void);
