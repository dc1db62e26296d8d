/* The ways in which a Python function, or native code, becomes a task. */
#ifndef RAMET_BIRTHS_H
#define RAMET_BIRTHS_H

#include "core.h"

struct core_birth {
    struct ramet_request request;
    bool by_fork; /* nothing is asked that fork() does not do, and libc knows best how to do it */
    bool native;  /* fn and arg are an address and a word, else Python objects (fn NULL: return twice) */
    void *fn;
    void *arg;
    PyObject *kept;               /* what must live as long as the child may use fn and arg */
    struct ramet_stack *stack;    /* the given one, if it is one of ours */
    struct ramet_word *words[2];  /* what the kernel may still write */
    Py_ssize_t carrier_stack_size; /* bytes; 0 is libc's default */
};

/* births_copied.c: a memory of its own. Each returns the pid or -errno, and 0 in a child that returns twice. */
long core_birth_fork(struct core_birth *birth);
long core_birth_copied(struct core_birth *birth);

/* births_suspending.c: VM|VFORK, the calling thread lends its own block and sleeps. */
long core_birth_suspending(struct core_birth *birth);

/* births_native.c: native code on a thread-local block that the caller brings (SETTLS). */
long core_birth_native(struct core_birth *birth);

/* births_carried.c: VM alone. Returns (pid, SharedTask), or NULL with an exception. */
PyObject *core_birth_carried(struct core_birth *birth);

/* The number of the call with which the child ends: THREAD ends one task, all else a process. */
long core_exit_call(const struct core_birth *birth);

/* Whether the child must be given default handlers by hand: it has a table of its own, and no CLEAR_SIGHAND. */
bool core_clears_handlers(const struct core_birth *birth);

/* The process with which a child in shared memory dies, 0 where that cannot be arranged. */
pid_t core_owner(const struct core_birth *birth);

/* thread_state.c: the state that Python keeps for a task that shares the memory. */
bool core_is_attached(PyThreadState *state);
void core_bury(PyThreadState *state);
void core_set_stack_bounds(PyThreadState *state, const struct ramet_stack *stack);

#endif
