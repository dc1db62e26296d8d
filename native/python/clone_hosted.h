/* What the clone calls of births_carried.c and births_apart.c have in common. */
#ifndef RAMET_CARRIED_H
#define RAMET_CARRIED_H

#include "left_open.h"
#include "subinterpreter_visits.h"

/* What a child is given, and what its recovering thread finds. It belongs to the host thread, for one child after the other. */
struct hosted {
    PyInterpreterState *interpreter;
    PyThreadState *state;
    PyThreadState *recovering; /* the host thread's own state */
    PyObject *thread; /* its threading.current_thread(), kept for the next child; NULL: none yet, or the child died */
    PyObject *kept; /* what the child uses lives in it; NULL once the child has let go of it */
    PyObject *early; /* the exception that its function is to begin with; NULL: none */
    ramet_sigset mask;
    bool clear_handlers;
    bool is_process;
    bool begun;    /* its function is called... */
    bool leaving;  /* ...and none is running any more; both are written and read with the GIL */
    bool stood_well; /* it was killed where other threads could run; written and read with the GIL */
    bool had_threads; /* ...and others with it; likewise */
    bool killed_at_work; /* by us, where native code came to no rest; likewise */
    bool outlived; /* it came to the end of its function with threads left, and has done and told what could be */
    bool finished; /* the child came to its end with its thread-local block in order */
    pid_t owner;
    pid_t own_pid; /* as the child sees it */
    struct ramet_host *host;
    const struct ramet_stack *stack; /* NULL: the host thread's own */
    struct core_table_user table;
    struct core_dead_frames found;   /* of a child that did not finish */
    SharedTaskObject *own_interpreter;         /* with an interpreter of its own: the task; else NULL, and so are these: */
    struct core_interpreter *own;
    struct core_visits visits;
    bool closed; /* no visits any more; with the caller's GIL */
    bool lent;   /* something in its interpreter still refers to the caller's memory */
    int struck;  /* a futex */
    int pid, pidfd; /* whom a visitor kills */
};

/* births_carried.c. In the child: what the kernel leaves to it. */
void core_settle(struct hosted *call);

/* In the host thread, in a state of its own, which is not needed afterwards. */
void core_tidy_up(struct hosted *call, PyThreadState *mine);

/* births_apart.c: the body of a child with an interpreter of its own; and in the host thread, when it is over, or was never born. */
int core_run_subinterpreter(void *task, void *arg, void *context);
void core_recover_subinterpreter(struct hosted *call);
void core_retire_subinterpreter(struct hosted *call);

/* With the caller's GIL: kills it, or interrupts it; false when that is not, or no longer, to be done here. */
bool core_strike_subinterpreter(struct hosted *call, int pid, int pidfd);
bool core_interrupt_subinterpreter(struct hosted *call, PyObject *exception);

#endif
