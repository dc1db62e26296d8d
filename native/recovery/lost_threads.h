/* Threads of libc's that died with a process that shared this memory: libc lists them, and takes them for living. */
#ifndef RAMET_LOST_THREADS_H
#define RAMET_LOST_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/* How many there are, of those that were made for such functions. After the end of the last of them. 0 as below. */
long ramet_count_lost_threads(bool (*counts)(uintptr_t function));

/*
 * Takes them off the condition variables on which they slept: else whoever signals one, or destroys it, waits for
 * them. Nothing where libc has no such list for debuggers (before glibc 2.34, musl).
 */
void ramet_forget_lost_threads(void);

#endif
