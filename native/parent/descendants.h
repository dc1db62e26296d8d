/*
 * All that is below this process, for one thread that may call the kernel alone. They are found in /proc, which must be that of this
 * process's pid namespace; what loses its parent is to come to this process (PR_SET_CHILD_SUBREAPER).
 */
#pragma once

/*
 * From here on none of them starts another (RLIMIT_NPROC), nor keeps a processor from who wants it. This does not hold for what has
 * rights or is another user's. Returns how many of them could until now: what these had begun to start is found the next time.
 */
int ramet_still_descendants(void);

/* SIGKILL to all that were found the last time. */
void ramet_kill_descendants(void);
