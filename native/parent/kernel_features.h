/* Which system calls and flags this kernel has. */
#pragma once

#include <stdbool.h>

/*
 * Whether clone3 is there: a kernel before 5.3 lacks it, and some seccomp filters hide it. The kernel is asked
 * each time, by the thread that will make the clone call and before its signals are blocked: a filter may be installed
 * later, for one thread alone, and may send a SIGSYS.
 */
bool ramet_has_clone3(void);

/* Whether close_range is there, which came with 5.9. */
bool ramet_has_close_range(void);

/* Whether clone3 knows CLEAR_SIGHAND, which came with 5.5. */
bool ramet_has_clear_sighand(void);
