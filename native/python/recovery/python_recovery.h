/*
 * What a child in shared memory leaves half done in Python when it dies: it is found and mended by the layout of
 * CPython's own structures. The only header of this folder for others.
 */
#pragma once

#include "core.h"
#include "libc_recovery.h"

/* ---- python_parts.c, recognize_python.c: what works; all that does not leaves a death as it is */

/* When ramet is imported: RAMET_RECOVERY=off. */
bool core_recovery_read_switch(void);

/* ---- waiters.c: those that a child waited with, when it is killed */

/* For ramet_kill_sharer. */
struct ramet_syscall_state;
void core_remove_waiter(const struct ramet_syscall_state *call);

/* The same for one that has ended without it, whose stack is as it left it, from its beginning down. */
void core_wake_waiters_of_dead(unsigned long stack_top);

/* What lay on its stack, as far up as it is copied, in a block of the kernel's. */
struct core_dead_stack {
    void **words; /* the last of them lay below `top` */
    size_t count;
    unsigned long top;
    void *block;
    size_t room; /* 0 where there is none */
};

/* The same by a copy, which is kept. By raw calls. */
void core_keep_stack(struct core_dead_stack *kept, unsigned long stack_top);
void core_forget_stack(struct core_dead_stack *kept);

/* ---- gil.c: the GIL that a child took along, killed as it took the GIL, waited for it or gave it up */

/*
 * Gives back what protects the GIL of that state, where the dead child held it, and takes the dead task off the
 * count of those that wait for the GIL; tid: libc's own on the child's block.
 */
void core_gil_mend(const PyThreadState *dead, int tid);

/*
 * The same for a child that had the GIL when it died, as after an exec: then it held none of what protects it.
 * But threads of its own may have died as they waited.
 */
void core_gil_mend_after_holder(const PyThreadState *dead);

/* With the GIL, in this state: no thread has asked for it. So it is also after the death of the task that had asked. */
void core_gil_forget_requests(PyThreadState *holder);

/* Whether this state has it, now. By raw reads. */
bool core_gil_is_with(const PyThreadState *state);

/* Then: gives up the GIL itself, where the dead child had it and was not, or no longer, attached. */
void core_gil_release(const PyThreadState *dead);

/*
 * Gives up the GIL of that state where a thread had it that has ended as a task, as one does that ends, or execs, or
 * is killed, with the child that had started it. Whether it did.
 */
bool core_gil_release_of_ended(const PyThreadState *state);

/* ---- dead_frames.c: what a child that died within a function has left of its frames */

#define CORE_MOST_NOTED 512 /* words, for the frames that it entered last */

/* Whether it died within the garbage collector, which no other thread can use then. */
enum core_collecting { CORE_NOT_COLLECTING, CORE_COLLECTOR_GIVEN_BACK, CORE_COLLECTOR_STAYS };

struct core_dead_frames {
    uintptr_t newest; /* the address of the first */
    long frames; /* -1: there are some, and they cannot be read */
    long references; /* of their variables, and of what else they are known to hold */
    bool has_objects; /* some frame can be reached from elsewhere */
    unsigned long ident; /* of the dead task, to Python */
    struct core_dead_stack stack;
    enum core_collecting collecting;
    bool was_at_work; /* in native code that computed, when it was killed after all */
    int noted;
    /* For each frame: its code, how many variables, these, how many entries of blocks, these. 0 where there is none. */
    uintptr_t words[CORE_MOST_NOTED];
};

/*
 * Looks at the frames of a state on which nothing runs any more. To be called from another stack than
 * the dead task's, a part of which they are, and before that is used again; needs no GIL. It also
 * links the frames past those parts, so that a thread that holds one of them can go through them later.
 */
void core_look_at_frames(const PyThreadState *dead, struct core_dead_frames *found);

/*
 * With the GIL, before anything else is done where the dead task's stack was, and before its state is deleted: the
 * collector, within which it may have died, can be used again, and no frame that is still in use is freed.
 */
void core_cut_off_dead_frames(PyThreadState *dead, struct core_dead_frames *found);

/* ---- release_objects.c: the memory of a function that was killed where other threads could run */

/* Its items are from malloc. */
struct core_objects {
    PyObject **items;
    size_t count, room;
};

struct core_release {
    long given_up; /* of the references that were found */
    struct core_objects references; /* that were the dead task's, and are the release's */
    struct core_objects kept;       /* to each of which a reference was added, for ever */
};

/*
 * With the GIL, before the state is deleted: takes what the frames, the state and the task (which may be NULL) hold,
 * and keeps alive what is not plain and only they held. All stays as it was where that is not to be found
 * out: then the release is empty.
 */
void core_release_take(struct core_release *release, PyThreadState *dead, struct core_dead_frames *found,
                       SharedTaskObject *task);

/* With the GIL, when none of it is needed any more: gives up what was taken. */
void core_release_finish(struct core_release *release);

/* ---- losses.c */

/* Before a clone call in shared memory, once the names are looked up. */
void core_losses_ready(void);

/*
 * After a recovery, with the GIL, in the thread whose identity the dead child had: what it held, for the task (which may
 * be NULL) to tell. release: what becomes of it; NULL: all stays. own_identity: no other thread has it. Its stack is not needed
 * afterwards. Whether a lock remains that knows its owner by that identity: the thread must then live on, or the next to
 * be given its identity would have that lock.
 */
bool core_take_stock(struct core_dead_frames *found, const struct core_release *release, SharedTaskObject *task,
                     bool own_identity);

/* In a child whose function is over: what an exception that was raised in it from outside has left locked. */
void core_give_back_after_interrupt(void);

/* ---- interpreter_list.c: Python's list of interpreters */

/*
 * Takes an interpreter off the list, and puts it on again. Python goes through the list at two moments.
 * The child of a fork deletes all interpreters but the main one, and dies of the attempt (3.12 to
 * 3.15: in PyOS_AfterFork_Child): so a program could not fork any more as long as
 * a function of ours runs. And since 3.14 the end of Python finalizes them, where a dead child may
 * have left locks that are never given back. To be deleted it must be on the list.
 */
void core_interpreter_hide(PyInterpreterState *interpreter);
void core_interpreter_show(PyInterpreterState *interpreter);

/* ---- for ramet._function, see module.c */
PyObject *core_end_collection_of_dead(PyObject *module, PyObject *unused);
PyObject *core_forget_thread_of_dead(PyObject *module, PyObject *args);
PyObject *core_held_by(PyObject *module, PyObject *ident);
PyObject *core_is_locked(PyObject *module, PyObject *file);
PyObject *core_know_buffered(PyObject *module, PyObject *args);
PyObject *core_leave_buffered(PyObject *module, PyObject *file);
PyObject *core_leave_shutdown(PyObject *module, PyObject *args);
PyObject *core_recognize(PyObject *module, PyObject *args);
PyObject *core_recovery_status(PyObject *module, PyObject *unused);
PyObject *core_words_of(PyObject *module, PyObject *object);
