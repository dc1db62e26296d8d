/* The ways in which a Python function, or native code, becomes a task. */
#ifndef RAMET_BIRTHS_H
#define RAMET_BIRTHS_H

#include "dead_frames.h"

struct core_birth {
    struct ramet_request request;
    bool native;  /* fn and arg are an address and a word, else Python objects (fn NULL: return twice) */
    bool own_interpreter;   /* the task runs in an interpreter with a GIL of its own */
    SharedTaskObject *task; /* in shared memory: the caller's end of it, whose function runs when fn is NULL */
    void *fn;
    void *arg;
    PyObject *kept;               /* what must live as long as the child may use fn and arg */
    struct ramet_stack *stack;    /* the given one, if it is one of ours */
    struct ramet_word *words[2];  /* what the kernel may still write */
    Py_ssize_t host_stack_size; /* bytes; 0 is libc's default */
    int64_t timeout;               /* nanoseconds until a hosted child is killed; negative for never */
    const char *lacks;             /* after a failure: the helper that could not be had; NULL: the kernel refused the clone call itself */
};

/* For a clone call that failed with -errno: sets the exception, returns NULL. */
PyObject *core_raise_birth(const struct core_birth *birth, long error);

/* births_copied.c: a memory of its own. The pid or -errno, and 0 in a child that returns twice. */
long core_birth_copied(struct core_birth *birth);

/* A copy has the main interpreter alone. False with an exception set in another. */
bool core_may_copy(void);

/* The same when nothing is asked that fork() does not do: libc knows best how to do it. Always returns twice. */
long core_fork(void);

/* Whether the calling thread has stack enough for a Python function in its child; else a ValueError is set. */
bool core_has_room_for_child(void);

/* births_suspending.c: VM|VFORK, the calling thread lends its own block and sleeps. */
long core_birth_suspending(struct core_birth *birth);

/* births_native.c: native code on a thread-local block that the caller brings (SETTLS). */
long core_birth_native(struct core_birth *birth);

/* births_carried.c: VM alone. The task is given the host thread. */
long core_birth_carried(struct core_birth *birth);

/*
 * In the thread that lent the block, without the GIL unless the child died holding it: then its state
 * is attached still, and so the GIL is this thread's. `mine` is attached afterwards, with the GIL, and
 * the children recovered that were the dead one's own; maker is its pid, as it saw it, and pid as this process does, 0 where
 * it is no process that died. dead: NULL if it has not left a state. How many children it was.
 */
int core_take_over(PyThreadState *dead, PyThreadState *mine, pid_t maker, long pid);

/*
 * Raises an exception in its child, with the GIL; the host thread is not over. Whether there is a function that it can reach.
 * With an interpreter of its own: an exception that every interpreter has, or None for Interrupted.
 */
bool core_interrupt(const struct ramet_host *host, PyObject *exception);

/* Whether its child has an interpreter of its own. */
bool core_has_own_interpreter(const struct ramet_host *host);

/*
 * SIGKILL for a child in shared memory, where it is at a safe point; with the GIL. host thread: NULL where it has none; pidfd may be -1.
 * 0, or -errno where it could not be killed.
 */
long core_kill(struct ramet_host *host, int pid, int pidfd);

/* Whichever of the two it is: VM|VFORK or VM alone. */
long core_birth_sharing(struct core_birth *birth);

/* The number of the call with which the child ends: THREAD ends one task, all else a process. */
long core_exit_call(const struct core_birth *birth);

/* Whether the child must be given default handlers by hand: it has a table of its own, and no CLEAR_SIGHAND. */
bool core_clears_handlers(const struct core_birth *birth);

/* The process with which a child in shared memory dies, 0 where that cannot be arranged. */
pid_t core_owner(const struct core_birth *birth);

/*
 * Where there is none, has the kernel write the child's pid where a watchdog finds it: that place, or NULL.
 * 0, or -errno when the child needs a watchdog that cannot be had.
 */
long core_watch(struct core_birth *birth, struct ramet_clone_args *args, int **watched);

/*
 * left_threads.c, losses.c. Before a clone call in shared memory: its child may be unable to import, and may die
 * in the midst of one. False with an exception set.
 */
bool core_threads_ready(void);
bool core_losses_ready(void);

/* With the exception of an import set: whether the clone call goes on without. */
bool core_does_without(void);

/*
 * Has threading.current_thread() be this object in the calling child; made when it is NULL. It is known
 * by the identity that libc gives, which is that of who lends: and so must be forgotten at the end.
 */
void core_name_thread(PyObject **thread);
void core_forget_thread(void);
void core_forget_thread_of(PyObject *thread);

/*
 * At the end of a function, with the GIL, in a child that is a process. Waits for the
 * threads that it started, but for daemons; whether there are any of these. They end with the child,
 * which must then keep the GIL: so that none of them dies with it.
 */
bool core_outlived_by_threads(void);

/* After the end of such a child, with the GIL and in another state: nobody waits any more for threads that ended with it. */
void core_recover_threads(long pid);

/* A function of ramet._function.left_threads, of that process. Whether it said so. */
bool core_ask_left_threads(const char *function, long pid);

/* buffered.c: gives back the locks of buffered files that a thread held that has died; with the GIL, nothing of Python runs in it. */
void core_leave_buffered_of(unsigned long ident);

/* native_threads.c. Whether a child that is to be killed has threads that Python does not know of; with the GIL. */
bool core_has_native_threads(long pid);

/*
 * After the end of a child that died in the midst of its function, and of all its threads, with the GIL: what libraries
 * keep of their threads lies in memory that lives on, and a library that has handlers for a fork can put that in order.
 * had_threads: it was seen to have some when it was killed; else they are found where libc lists them.
 */
void core_settle_native_threads(bool had_threads);

/* The same for one that has done, and told, what could be: at the end of its function. */
void core_note_native_threads(void);

/* Whether the calling task is the only one of its thread group. */
bool core_is_alone(void);

/* kill.c: for ramet_kill_sharer. */
struct ramet_syscall_state;
void core_strike_off(const struct ramet_syscall_state *stand);

/* The same for one that has ended without it, whose stack is as it left it, from its beginning down. */
void core_strike_off_dead(unsigned long stack_top);

/* The same by a copy, which is kept. By raw calls. */
void core_keep_stack(struct core_dead_stack *kept, unsigned long stack_top);
void core_forget_stack(struct core_dead_stack *kept);

/* thread_state.c: the state that Python keeps for a task that shares the memory. */
bool core_is_attached(PyThreadState *state);
void core_recover(PyThreadState *dead, struct core_dead_frames *found);
void core_delete_state(PyThreadState *state);
void core_delete_current_state(PyThreadState *mine);

/*
 * Python notes for each thread which state a callback from native code (PyGILState_Ensure) is to use, and
 * its debug allocator insists that it is the attached one. Since 3.12 it always is; before, this notes
 * another one for the calling thread. What was noted, to be put back later; NULL where nothing is to be done.
 */
PyThreadState *core_note_state(PyThreadState *state);
bool core_is_tidy(const PyThreadState *state);
void core_swallow_interrupt(const PyThreadState *state);

/* main_thread.c: while a child of this thread has its identity. Whether this is the main thread, which is then to be shown again. */
bool core_is_main_thread(void);
bool core_hide_main_thread(void);
void core_show_main_thread(void);

/* A state for a child of this thread, which the thread keeps between two children. With the GIL. */
PyThreadState *core_borrow_state(void);
bool core_keep_state(PyThreadState *state);
void core_forget_state(void);

/*
 * losses.c: what the dead held, for the task (which may be NULL) to tell. release: what becomes of it; NULL: all stays.
 * Its stack is not needed afterwards.
 */
struct core_release;
bool core_take_stock(struct core_dead_frames *found, const struct core_release *release, SharedTaskObject *task,
                     bool own_identity);

void core_set_stack_bounds(PyThreadState *state, const struct ramet_stack *stack);

#endif
