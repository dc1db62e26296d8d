/*
 * Callers that their child suspends (VFORK): the end of the interpreter kills such a child, and a caller that is a child itself may be
 * killed meanwhile. Then its own child runs on for a moment, on the stack of the dead, and leaves a state of Python's.
 */
#pragma once

#include "clone_request.h"
#include "left_open.h"

/* From PyMem_RawCalloc: it outlives a caller that is killed. All with the GIL, unless it says otherwise. */
struct core_suspended {
    struct core_suspended *next; /* of the same process's... */
    struct core_suspended **list; /* ...in that list; NULL: in none */
    const int *pid; /* of the child, where the kernel writes it: 0 or -1, there is none */
    int told;       /* the same where no watchdog is told */
    int in_memory;  /* 0: the child has left it; the kernel writes it, too (CHILD_CLEARTID) */
    bool is_thread; /* the child cannot be killed alone */
    bool goes_on;   /* the child has ended, or there was none */
    PyThreadState *state; /* the child's; NULL once it is another's to delete */
    struct core_table_user table; /* the child's */
    SharedTaskObject *task; /* NULL: none */
    uintptr_t stack_top; /* the child's stack begins there */
    struct core_dead_frames *found; /* when its caller was killed as well; NULL: not looked at */
};

/* Before the clone call, for which it asks; and when the caller goes on. */
void core_suspend(struct core_suspended *caller, const struct core_request *request, struct ramet_clone_args *args, int *watched);
void core_resume(struct core_suspended *caller);

/* Kills the children of this process's own callers. */
void core_kill_suspending(void);

/* Without the GIL, by raw calls: the children of those that a process has left are ended or awaited, and looked at. */
void core_look_at_suspended(struct core_table_user *process);

/* One of them that is attached here; NULL: none. Without the GIL. */
PyThreadState *core_attached_of_suspended(const struct core_table_user *process);

/* Gives up the GIL where one of them had it, and was not attached here. Without the GIL. */
void core_release_gil_of_suspended(struct core_table_user *process);

/* They are recovered, and freed; how many. */
int core_recover_suspended(struct core_table_user *process);
