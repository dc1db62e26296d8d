/* What a task is doing, as /proc tells it. */
#ifndef RAMET_TASK_STATE_H
#define RAMET_TASK_STATE_H

/* The letter of /proc/TID/stat (R, S, D, T, t, Z, X), or '\0' where there is none to read. */
char ramet_task_state(long tid);

#endif
