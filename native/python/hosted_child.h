/* A child beside its caller, in memory that both share; a host thread lends it what only libc can make. */
#pragma once

#include "dump_guard.h"
#include "left_open.h"
#include "clone_ways.h"
#include "subinterpreter_threads.h"

struct core_hosted;

/* What differs by the interpreter that the child has; with the GIL of the caller's. */
struct core_hosted_kind {
    /* SIGKILL, where it is at a safe point; pidfd may be -1. 0, or -errno where it could not be killed. */
    long (*kill)(struct core_hosted *call, int pid, int pidfd);

    /*
     * Raises an exception in the child, whose host thread is not over. Whether there is a function that it can reach.
     * With an interpreter of its own: an exception that every interpreter has, or None for Interrupted.
     */
    bool (*interrupt)(struct core_hosted *call, PyObject *exception);
};

/* What a child is given, and what its host thread finds when it recovers. It belongs to the host thread, for one child after the other. */
struct core_hosted {
    const struct core_hosted_kind *kind;
    PyInterpreterState *interpreter;
    PyThreadState *state; /* NULL once it is recovered */
    PyThreadState *recovering; /* the host thread's own state */
    PyObject *thread; /* its threading.current_thread(), kept for the next child; NULL: none yet, or the child died */
    PyObject *kept; /* it keeps alive what the child uses; NULL once the child has dropped it */
    bool runs_task; /* it is the task, whose function the child calls */
    PyObject *early; /* the exception that is raised instead of its function; NULL: none */
    ramet_sigset mask;
    bool clear_handlers;
    bool is_process;
    bool begun;    /* its function is called... */
    bool over;     /* ...and has ended, or died: what is left is the library's own, in which nothing is raised... */
    bool leaving;  /* ...and no Python is running any more; all three are written and read with the GIL */
    bool interrupted; /* an exception was raised in its function from outside; likewise */
    bool at_safe_point; /* it was killed there, which is where other threads could run; written and read with the GIL */
    bool had_threads; /* ...and others with it; likewise */
    bool killed_at_work; /* by this process, while native code computed; likewise */
    bool outlived; /* its function has returned, but other threads of the child ran on: these were dealt with in the child */
    bool finished; /* the child came to its end with its thread-local block in order */
    pid_t owner;
    pid_t own_pid; /* as the child sees it; 0: it has run nothing yet */
    int told;      /* as its maker sees it, where no watchdog is told; the kernel writes it before the child runs */
    struct ramet_host *host;
    struct ramet_arena *arena; /* on the host thread's stack */
    const struct ramet_stack *stack; /* NULL: the host thread's own */
    struct core_table_user table;
    struct core_dead_frames found;   /* of a child that did not finish */
    SharedTaskObject *own_interpreter;         /* with an interpreter of its own: the task; else NULL, and so are these: */
    struct core_interpreter *own;
    struct core_interpreter_threads threads;
    bool closed; /* no thread enters its interpreter any more; with the caller's GIL */
    bool lent;   /* something in its interpreter still refers to the caller's memory */
    int killed;    /* a futex */
    int pid, pidfd; /* of the child, for the thread that kills it */
    bool guards_dumps;
    struct ramet_dump_guard guard[]; /* one, where the kernel is one for which it is needed */
};

/* In the child: what the kernel leaves to it. */
void core_set_up_child(struct core_hosted *call);

/* In the host thread, in a state of its own, which is not needed afterwards. */
void core_clean_up(struct core_hosted *call, PyThreadState *mine);

/* When the child is off its stack, which is as it left it; by raw calls. */
void core_look_at_hosted(struct core_hosted *call);

/* The task of a child that calls a function of the caller's; NULL for another, and once the child has dropped it. */
SharedTaskObject *core_task_of(const struct core_hosted *call);

/* The pid as the caller knows it, once that has noted it, which it has by the time that the GIL can be had; else as the child does. */
long core_pid_of(const struct core_hosted *call);

/* Has the request ask for a child on the block of the host thread, and on its stack where none is given. */
void core_lend_block(struct ramet_clone_args *args, const struct ramet_host *host);

/* kill_hosted.c: the child has its caller's interpreter. */
long core_kill_hosted(struct core_hosted *call, int pid, int pidfd);
