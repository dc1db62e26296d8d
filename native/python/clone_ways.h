/* The ways in which a Python function, or native code, becomes a task; and what is done before, in and after such a child. */
#pragma once

#include "called_names.h"
#include "clone_request.h"
#include "openmp_pool.h"
#include "python_recovery.h"

/* clone_copied.c: a memory of its own. The pid or -errno, and 0 in a child that returns twice. */
long core_clone_copied(struct core_request *request);

/* A copy has the main interpreter alone. False with an exception set in another. */
bool core_may_copy(void);

/* A copy when nothing is asked that fork() does not do: libc knows best how to do it. Always returns twice. */
long core_fork(void);

/* Whether the calling thread has stack enough for a Python function in its child; else a ValueError is set. */
bool core_has_room_for_child(void);

/* clone_suspending.c: VM|VFORK, the calling thread lends its own block and sleeps. */
long core_clone_suspending(struct core_request *request);

/* clone_native.c: native code on a thread-local block that the caller brings (SETTLS). */
long core_clone_native(struct core_request *request);

/* clone_hosted.c: VM alone. The task is given the host thread. */
long core_clone_hosted(struct core_request *request);

/*
 * share_function.c. Before a clone call in shared memory: its child may be unable to import, and may die within
 * one. False with an exception set.
 */
bool core_ready_to_share(void);

/*
 * Has threading.current_thread() be this object in the calling child; made when it is NULL. It is known
 * by the identity that libc gives, which is the host thread's: and so must be forgotten at the end.
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

/* After the end of such a child, with the GIL and in another state: no thread waits any more for those that ended with it. */
void core_recover_threads(long pid);

/* A function of ramet._function.left_threads, of that process. What it returned. */
bool core_ask_left_threads(enum core_name name, long pid);

/* native_threads.c. Whether a child that is to be killed has threads that Python does not know of; with the GIL. */
bool core_has_native_threads(long pid);

/* native_threads.c: before a copy, the calling thread's threads of OpenMP end. What a copy is to note. */
struct ramet_openmp core_end_openmp(void);

/*
 * After the end of a child that died within its function, and of all its threads, with the GIL: what libraries
 * keep of their threads lies in memory that lives on, and a library that has handlers for a fork can put that in order.
 * had_threads: it was seen to have some when it was killed; else they are found where libc lists them.
 */
void core_recover_native_threads(bool had_threads);

/* At the end of the function of a child that has done, and told, what could be: notes how many native threads are lost. */
void core_note_native_threads(void);

/* Whether the calling task is the only one of its thread group. */
bool core_is_alone(void);

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
bool core_is_clean(const PyThreadState *state);
void core_swallow_interrupt(const PyThreadState *state);

/* main_thread.c: while a child of this thread has its identity. Whether this is the main thread, which is then to be shown again. */
bool core_is_main_thread(void);
bool core_hide_main_thread(void);
void core_show_main_thread(void);

/* A state for a child of this thread, which the thread keeps between two children. With the GIL. */
PyThreadState *core_take_state(void);
bool core_keep_state(PyThreadState *state);
void core_forget_state(void);

void core_set_stack_bounds(PyThreadState *state, const struct ramet_stack *stack);
