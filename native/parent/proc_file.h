/*
 * Files in /proc, and by which number it has a task. Where the /proc of a pid namespace above is mounted, as in a child with NEWPID
 * and without a /proc of its own, that is another number than its pid here, which is nobody's there, or a stranger's.
 */
#pragma once

#include <stdbool.h>

#define RAMET_PROC_PATH_BYTES 48

/* /proc/NUMBER/NAME, for a short name. */
void ramet_proc_path(char path[RAMET_PROC_PATH_BYTES], long number, const char *name);

/* The text of that file, with a 0 at its end; its length, or -errno. */
long ramet_proc_read(long number, const char *name, char *text, long size);

/* 0 where there is no number. */
long ramet_decimal(const char *digits);

/* Of the process that has started it, or adopted it. 0: there is none, or none that is shown. */
long ramet_proc_parent(long number);

/*
 * The children that a thread has started, or adopted. threads: a descriptor of /proc/PID/task. Whether it could be opened.
 */
bool ramet_proc_each_child(long threads, long thread, void (*take)(long pid, void *context), void *context);

/* Of the calling thread. 0: there is no /proc, or it does not show it. */
long ramet_proc_own_number(void);

/*
 * Of a process that has not been reaped, by its pid here, and its pidfd if there is one (-1: there is none). 0: not to be found, as
 * where /proc does not show it, or no descriptor is free.
 */
long ramet_proc_number_of_process(long pid, int pidfd);

/* The same of a thread of this process, or of a process; of another process's thread since Linux 6.9. */
long ramet_proc_number_of_task(long tid);
