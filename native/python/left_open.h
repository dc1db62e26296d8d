/*
 * What a child in shared memory opens in a table of descriptors of its own. The objects outlive the child, and
 * their numbers mean something else to the caller: the end of such an object would close the caller's.
 */
#pragma once

#include "core.h"
#include "safe_kill.h"

struct core_table {
    long left; /* how many objects there are that have numbers of it */
};

struct core_suspended;

/* A task, by the state that Python keeps for it, and the table that it has, which may be another's. */
struct core_table_user {
    struct core_table_user *next;
    PyThreadState *state;
    struct core_table *table; /* NULL: the caller's, whose objects are not looked at */
    struct core_table own;
    bool may_have_pid;
    pid_t pid; /* as it sees it, for the threads that it starts; 0: another may have the same, or it has run nothing yet */
    const int *told; /* where the kernel writes it as its maker sees it, before it runs; NULL: nowhere */
    struct core_suspended *suspended; /* see suspended_callers.h: its tasks that a child of theirs suspends */
};

/* That of the calling task's process; NULL: it has none that is known. */
struct core_table_user *core_own_table_user(void);

/* For ramet_kill_sharer, with the GIL: a function is a user of a table as long as it runs. */
extern const struct ramet_sharers core_sharers;

/* In the child, which has that pid. */
void core_table_set_up(struct core_table_user *user, pid_t pid);

/* The others with the GIL. Before a clone call; false with an exception set. */
bool core_left_open_ready(void);

/* Before the clone call, with these flags; and after the child's end. */
void core_table_enter(struct core_table_user *user, PyThreadState *state, uint64_t flags);
void core_table_leave(struct core_table_user *user);

/*
 * In the child, at the end of its function: closes what is left. If that is the function's own result, which is the
 * task's, an error takes its place. NULL: it has none.
 */
void core_table_close(struct core_table_user *user, SharedTaskObject *task);

/* When it has died within its function: what is left forgets its number. */
void core_table_abandon(struct core_table_user *user);
