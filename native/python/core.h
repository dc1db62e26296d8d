/* The Python side of ramet._core. Only the files of this folder include <Python.h>. */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <sys/resource.h>

#include "clone_stopped.h"
#include "host_thread.h"
#include "lent_memory.h"

typedef struct {
    PyObject_HEAD
    struct ramet_stack *stack;
} StackObject;

typedef struct {
    PyObject_HEAD
    struct ramet_word *word;
} TidWordObject;

/* What came of a function; result_channel.py has the same numbers. */
enum core_outcome { CORE_NOTHING, CORE_VALUE, CORE_RAISED };

/* The caller's end of a child that shares the memory. */
typedef struct {
    PyObject_HEAD
    struct ramet_host *host; /* NULL: it has none (VFORK), or no longer */
    int claim;                     /* which of the host thread's children it is */
    int waiting;
    bool own_interpreter;   /* it has an interpreter of its own */
    bool expired; /* it was killed at its deadline; told when the host thread goes */
    uint64_t mark; /* it is another user's, and the memory not dumpable while it lives: see dumpable.h; 0: it is not */
    int pid;
    int pidfd;
    PyObject *fn, *args, *context; /* until they are called; with an interpreter of its own fn is its subinterpreter's code */
    PyObject *plan;                /* ...this is what it does first, or NULL */
    Py_buffer *views;              /* ...and this is the memory that it sees of ours */
    Py_ssize_t view_count;
    int kind;
    PyObject *outcome;
    PyObject *losses; /* what was lost with it; NULL: nothing */
    int ended_how; /* si_code, si_status and what it used, of a child that was reaped at its clone call; else 0 */
    int ended_with;
    struct rusage used;
} SharedTaskObject;

/* What each static type of this module begins with; flags: besides Py_TPFLAGS_DEFAULT. */
#define CORE_TYPE(name, object, flags) \
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "ramet._core." name, .tp_basicsize = sizeof(object), \
    .tp_flags = Py_TPFLAGS_DEFAULT | (flags)

extern PyTypeObject Stack_Type, TidWord_Type, SharedTask_Type, DeadlineThread_Type, PrivateMapping_Type,
    Channel_Type, OwnMemory_Type, HotPages_Type, CloneOwner_Type, PlainLink_Type, Tracer_Type;
extern PyType_Spec core_held_spec;

/* Of the module in one interpreter: names of methods, which are looked up often. */
struct core_state {
    PyObject *acquire, *release;
};

/* The types are static: an interpreter of its own would share them, which is why this module refuses those. */
SharedTaskObject *core_shared_task_new(void);

/*
 * In the child: calls the function within a copy of the caller's context variables. Returns the exit code.
 * early: NULL, or the class of exceptions with which it ends before it begins.
 */
int core_run_task(SharedTaskObject *task, PyObject *early);

/* When the function has died: what it was called with may be in any state, and stays for ever. task: may be NULL. */
void core_shared_task_forget(SharedTaskObject *task);

/* What came of the function, once: a pair of its kind, and the value or the exception. */
PyObject *core_shared_task_take(SharedTaskObject *task);

/* Waits until its host thread has cleaned up, and releases it. -1 with an exception set. */
int core_shared_task_conclude(SharedTaskObject *task);

/* The task is over: the memory is dumpable as before. */
void core_shared_task_unmark(SharedTaskObject *task);

/* Gives back the memory that an interpreter of its own saw; with the GIL, when it sees it no longer. */
void core_shared_task_release(SharedTaskObject *task);

/* Calls fn(arg) in a child and makes an exit code of what comes of it; what it raises is printed. */
int core_invoke(PyObject *fn, PyObject *arg);

/* The exception that is set, with its traceback; none is set any more. */
PyObject *core_take_exception(void);

/* The exit code for the exception that is set; it is printed, or says the code itself (SystemExit). */
int core_code_of_failure(void);

/* Raises OSError for a result of -errno. Returns NULL. */
PyObject *core_raise_errno(long negative_errno);

/* Raises OSError for a helper of a child that cannot be made: its name stands where a file's would. */
PyObject *core_raise_no_helper(long negative_errno, const char *helper);

/* Raises that exception for an argument or a field: what was expected of it, and what it is. Returns NULL. */
PyObject *core_raise_invalid(PyObject *error, const char *what, const char *expected, PyObject *got);

/* False with an exception set for an object that is no C int. */
bool core_read_int(const char *what, PyObject *object, int *value);

/* A timeout in seconds (a number or None) as nanoseconds, -1 for None. -2 with an exception set when it is none. */
int64_t core_timeout(PyObject *seconds);

/*
 * A signal that comes between the interpreter's last look at them and the system call that waits does not end that
 * call. A wait that may be long ends after this time at first, and then the interpreter looks once more.
 */
#define CORE_FIRST_LOOK (20 * RAMET_MILLISECOND)

/* Sleeps until *word is `wanted`; seconds is a number or None. True, False when the time is up, NULL on a bad timeout or a signal. */
PyObject *core_wait_until(PyObject *seconds, int *word, int wanted);

/* Sleeps while *word is `value`; as above. */
PyObject *core_wait_while(PyObject *seconds, int *word, int value);

/* Waits until the descriptor can be read: True, False when the time is up, NULL on a bad timeout or a signal. */
PyObject *core_poll(int descriptor, PyObject *seconds);

/* When the timeout is over, in nanoseconds of ramet_now(); -1 for never, -2 with an exception set. */
int64_t core_deadline(PyObject *seconds);

/* Until the first of two can be read: 1, 0 when that time has come, -1 with an exception set. other: -1 for none. */
int core_poll_until(int descriptor, int other, int64_t deadline);

/* Until one of many can be read, of which each says then what it is ready for; as above. */
struct pollfd;
int core_poll_all_until(struct pollfd *waited, unsigned long descriptors, int64_t deadline);

/* Functions of the module; the second takes its arguments as an array (METH_FASTCALL). */
typedef PyObject *core_function(PyObject *module, PyObject *argument);
typedef PyObject *core_fast_function(PyObject *module, PyObject *const *args, Py_ssize_t count);

core_function core_before_fork, core_begin_in_pid_namespace, core_channels, core_close, core_close_aside, core_copy_memory, core_credentials_now,
    core_do_steps, core_drain, core_end_openmp_pools, core_end_tree_at, core_file_identities, core_fill_memory, core_flush, core_forget_number, core_fork_twice, core_gather_objects,
    core_has_clear_sighand, core_has_clone3, core_has_close_range, core_has_our_rights, core_json_needs, core_kcmp, core_launch_ahead, core_lends,
    core_make_huge, core_memory_of, core_new_pid_namespace, core_plain_bytes, core_plain_value, core_process_place, core_renew_native_id,
    core_replace_mapping, core_run_fork_handlers, core_same_files, core_settle_memory, core_trace_filter, core_trial_begin, core_trial_end, core_wait_readable, core_waitid;
core_fast_function core_clone, core_copy, core_is_as_before, core_launch_beside, core_named_call, core_share, core_spawn;

/* Whether Python has come to its end. */
static inline bool core_is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}
