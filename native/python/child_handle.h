/* The handle of a child, of each kind. */
#pragma once

#include "core.h"

typedef struct {
    PyObject_HEAD
    int pid;      /* 0: there was no clone call */
    int maker;    /* the process that may reap it... */
    uint64_t epoch; /* ...and of which memory that is */
    int pidfd;    /* -1: it has none, or no longer */
    int thread;   /* the one in whose table of descriptors that is... */
    bool in_own_table; /* ...which is not the main thread's: unshare(FILES) */
    bool has_namespace; /* of pids, which was made for it */
    int init;       /* of that, a child of this process, too; 0: it has been reaped or given */
    int init_pidfd; /* -1: it has none, or no longer */
    int init_users; /* of that, without the interpreter lock */
    bool init_stays; /* after the child's end, until another than this handle ends it */
    int users;    /* of the pidfd, without the interpreter lock */
    bool let_go;  /* the last user closes it */
    bool entered; /* by a with statement, which kills and reaps it */
    bool plain;   /* there is no more to know of its end than waitid() tells, and its task in shared memory */
    int asking;   /* tasks that are in waitid() */
    bool learned; /* how it ended: si_code, si_status, and what it used */
    bool common;  /* it ended with a code, and there is no more to know: its status is made when it is first asked for */
    int how, with;
    struct rusage used;
    PyObject *status; /* what Python makes of it; NULL: not known, or not asked for */
    PyObject *flags, *what; /* as they were asked for */
    PyObject *outcome;      /* where that of a function is found; NULL: a program's, or it has been taken */
    PyObject *taken;        /* what it was: a pair, see result_channel.py */
    PyObject *task;         /* the SharedTask of a child in shared memory, else NULL */
} HandleObject;

extern PyTypeObject Handle_Type;

PyObject *core_know_exit_status(PyObject *module, PyObject *args);
PyObject *core_wait_any(PyObject *module, PyObject *args); /* wait_any_function.c */
PyObject *core_new_child(PyObject *module, PyObject *const *args, Py_ssize_t count);

/*
 * A handle is made before its child, and stands for it from its first moment: an exception that is raised then loses no child.
 *
 * Has it stand for a child of this process that has just been made; the pidfd is the handle's from now on. -1 where the
 * kernel gave none: then one is opened, if it can be.
 */
void core_handle_hold(HandleObject *self, long pid, int pidfd);

/*
 * The same for a child in shared memory, from whose maker the task is; suspended: whether that was suspended by it;
 * sibling: whether it is a child of the maker's parent.
 * -1 with an exception set where there is no memory for its outcome: it holds the child all the same.
 */
int core_handle_hold_sharer(HandleObject *self, SharedTaskObject *task, bool suspended, bool sibling);

/* One of its pidfds, or -1 where the number does not stand for it in the calling thread's table. */
int core_handle_here(const HandleObject *self, int pidfd);

/*
 * The pidfd is used without the interpreter lock between these two, and stays open until the last user
 * is gone: its number cannot come to mean another's.
 */
void core_handle_enter(HandleObject *self);
void core_handle_leave(HandleObject *self);

/* A copy of the pidfd, or -errno. */
int core_handle_copied_pidfd(HandleObject *self);
