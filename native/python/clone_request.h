/* One request for a task: what the kernel is asked for, and what the child is to run. */
#pragma once

#include "core.h"

struct core_request {
    struct ramet_request kernel;
    struct ramet_stack *stack;   /* the given one, if it is one of ours */
    struct ramet_word *words[2]; /* what the kernel may still write */
    Py_ssize_t host_stack_size;  /* bytes; 0 is libc's default */
    int64_t timeout;             /* nanoseconds until a hosted child is killed; negative for never */
    bool another_user;           /* the child will have other rights, see dumpable.h */
    bool own_interpreter;        /* it runs in an interpreter with a GIL of its own... */
    PyObject *plan;              /* ...where this comes first; NULL: nothing does */

    /* What the child is to run. */
    bool native;            /* fn and arg are an address and a word, else Python objects (fn NULL: return twice) */
    void *fn;
    void *arg;
    PyObject *kept;         /* what must live as long as the child may use fn and arg */
    SharedTaskObject *task; /* in shared memory: the caller's end of it, whose function runs when fn is NULL */

    const char *lacks; /* after a failure: the helper that could not be had; NULL: the kernel refused the clone call itself */
};

extern PyTypeObject Request_Type;

/* The request of a ramet._core.Request, with nothing to run yet; false with an exception set for another object. */
bool core_read_request(struct core_request *request, PyObject *object);

/* For a clone call that failed with -errno: sets the exception, returns NULL. */
PyObject *core_raise_refused(const struct core_request *request, long error);

/* The number of the call with which the child ends: THREAD ends one task, all else a process. */
long core_exit_call(const struct core_request *request);

/* Whether the child must be given default handlers by hand: it has a table of its own, and no CLEAR_SIGHAND. */
bool core_clears_handlers(const struct core_request *request);

/* Whether a child in shared memory sees to it that its core takes nobody along, see dump_guard.h: not with the caller's handlers. */
bool core_guards_dumps(const struct core_request *request);

/* The process with which a child in shared memory dies, 0 where that cannot be arranged. */
pid_t core_owner(const struct core_request *request);

/*
 * Where the child gets no signal at the end of its owner, has the kernel write its pid where a watchdog finds it: that place, or NULL.
 * 0, or -errno when the child needs a watchdog that cannot be had.
 */
long core_watch(struct core_request *request, struct ramet_clone_args *args, int **watched);
