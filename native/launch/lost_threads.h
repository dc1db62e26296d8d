/* Threads of libc's that died with a process that shared this memory: libc lists them, and takes them for living. */
#ifndef RAMET_LOST_THREADS_H
#define RAMET_LOST_THREADS_H

/*
 * Takes them off the condition variables on which they slept: else whoever signals one, or destroys it, waits for
 * them. After the end of the last of them. Nothing where libc has no such list for debuggers (before glibc 2.34, musl).
 */
void ramet_forget_lost_threads(void);

#endif
