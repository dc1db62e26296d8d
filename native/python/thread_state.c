/* The Python thread state of a child that shares the memory: whose it is, and how it ends. */
#define _GNU_SOURCE
#include "clone_ways.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>

#include "detached_thread.h"
#include "epoch.h"
#include "host_thread.h"
#include "words.h"

bool core_is_attached(PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030d0000
    return PyThreadState_GetUnchecked() == state;
#else
    return _PyThreadState_UncheckedGet() == state;
#endif
}

#if PY_VERSION_HEX < 0x030c0000

/* There is no call to change it; but it is an ordinary key, known by what it holds. */
static bool find_callback_key(const PyThreadState *noted, pthread_key_t *found)
{
    static bool known;
    static pthread_key_t key;
    for (unsigned int i = 0; !known && i < PTHREAD_KEYS_MAX; i++)
        if (pthread_getspecific(i) == noted) {
            key = i;
            known = true;
        }
    *found = key;
    return known && pthread_getspecific(key) == noted;
}

PyThreadState *core_note_state(PyThreadState *state)
{
    pthread_key_t key;
    PyThreadState *noted = PyGILState_GetThisThreadState();
    if (noted == NULL || state == NULL || !find_callback_key(noted, &key))
        return NULL;
    pthread_setspecific(key, state);
    return noted;
}

#else

PyThreadState *core_note_state(PyThreadState *state)
{
    (void)state;
    return NULL;
}

#endif

/* With the GIL. Nothing may run in the dead state: it points to frames on a stack that is in use again. */
void core_recover(PyThreadState *dead, struct core_dead_frames *found)
{
    core_cut_off_dead_frames(dead, found);
    core_delete_state(dead);
}

static void *delete(void *state)
{
    PyThreadState_Delete(state);
    return NULL;
}

/*
 * A state that is cleared. Since 3.15 it is too large for what a thread keeps for itself of blocks that it frees:
 * so libc takes the lock of the arena, which may have died with a child.
 */
static void free_state(PyThreadState *state)
{
    if (!ramet_arena_has_lost(state))
        PyThreadState_Delete(state);
    else
        ramet_start_detached_thread(delete, state, 0); /* where there can be no such thread, it stays */
}

/* Gives up the GIL as well. */
void core_delete_current_state(PyThreadState *mine)
{
    if (!ramet_arena_has_lost(mine)) {
        PyThreadState_DeleteCurrent(); /* in one step: an interpreter that ends deletes all that there are */
        return;
    }
    PyEval_SaveThread();
    free_state(mine);
}

/* With the GIL, in another state. */
void core_delete_state(PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030c0000
    state->_status.bound_gilstate = 0; /* it was bound in its own thread; Python would remove what is noted for this one */
#endif
    PyThreadState_Clear(state);
    free_state(state);
}

/*
 * CPython 3.14 and later measure the stack by the bounds that libc knows of; on a block of the
 * caller's they must be told. Late 3.14 releases have the call, earlier Pythons do not measure.
 */
void core_set_stack_bounds(PyThreadState *state, const struct ramet_stack *stack)
{
    static int (*set)(PyThreadState *, void *, size_t);
    static bool asked;
    if (!asked) {
        *(void **)&set = dlsym(RTLD_DEFAULT, "PyUnstable_ThreadState_SetStackProtection");
        asked = true;
    }
    if (set != NULL && stack != NULL && set(state, (void *)stack->base, stack->size) < 0)
        PyErr_Clear();
}

/*
 * An exception that was set for a state, and came too late to be raised in its function, is raised
 * here. Before 3.13 the interpreter is told of it by one flag for all, which only a raise takes back:
 * left set it makes every thread slow, and on 3.11 one that is traced go round in a circle for ever.
 */
void core_swallow_interrupt(const PyThreadState *state)
{
    if (state->async_exc == NULL)
        return;
    PyObject *names = PyDict_New();
    PyObject *nothing = names == NULL ? NULL : PyRun_String("None", Py_eval_input, names, names);
    Py_XDECREF(nothing);
    Py_XDECREF(names);
    PyErr_Clear();
}

/* ---- states that are used more than once */

static bool has_locals(const PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030d0000
    if (state->threading_local_key != NULL)
        return true;
#endif
    if (state->dict == NULL)
        return false;
    return PyDict_GET_SIZE(state->dict) > (PyDict_Contains(state->dict, core_word(CORE_WORD_KEPT)) > 0);
}

/* Whether a function left nothing behind in its state that the next one would find. */
bool core_is_clean(const PyThreadState *state)
{
    return !has_locals(state) && state->context == NULL && state->c_tracefunc == NULL && state->c_profilefunc == NULL &&
           state->async_gen_firstiter == NULL && state->async_gen_finalizer == NULL && state->async_exc == NULL &&
           state->coroutine_origin_tracking_depth == 0;
}

/*
 * A thread keeps the state of its last vfork child for the next. It lies in the dictionary of the
 * thread's own state and goes with it; in the child of a fork Python has deleted it already.
 */
struct kept {
    PyThreadState *state;
    uint64_t epoch;
};

/* Python then deletes all states of other threads, each with its dictionary: the kept one is among them. */
static void kept_destroy(PyObject *capsule)
{
    struct kept *kept = PyCapsule_GetPointer(capsule, NULL);
    if (kept->state != NULL && kept->epoch == ramet_epoch() && !core_is_finalizing())
        core_delete_state(kept->state);
    PyMem_Free(kept);
}

static struct kept *kept_by_this_thread(void)
{
    PyObject *dict = PyThreadState_GetDict();
    PyObject *capsule = dict == NULL ? NULL : PyDict_GetItemWithError(dict, core_word(CORE_WORD_KEPT));
    return capsule == NULL ? NULL : PyCapsule_GetPointer(capsule, NULL);
}

PyThreadState *core_take_state(void)
{
    struct kept *kept = kept_by_this_thread();
    if (kept == NULL || kept->state == NULL || kept->epoch != ramet_epoch())
        return PyThreadState_New(PyInterpreterState_Get());
    PyThreadState *state = kept->state;
    kept->state = NULL;
    return state;
}

static struct kept *keep_from_now_on(void)
{
    PyObject *dict = PyThreadState_GetDict();
    struct kept *kept = dict == NULL ? NULL : PyMem_Calloc(1, sizeof *kept);
    PyObject *capsule = kept == NULL ? NULL : PyCapsule_New(kept, NULL, kept_destroy);
    if (capsule == NULL) {
        PyMem_Free(kept);
        return NULL;
    }
    int error = PyDict_SetItem(dict, core_word(CORE_WORD_KEPT), capsule);
    Py_DECREF(capsule);
    return error < 0 ? NULL : kept;
}

/* Whether the state is kept; else it is the caller's to delete. A subinterpreter must end with one state. */
bool core_keep_state(PyThreadState *state)
{
    uint64_t epoch = PyInterpreterState_Get() == PyInterpreterState_Main() ? ramet_epoch() : 0;
    struct kept *kept = kept_by_this_thread();
    if (kept == NULL && epoch != 0)
        kept = keep_from_now_on();
    if (kept == NULL || epoch == 0) {
        PyErr_Clear();
        return false;
    }
    if (kept->state != NULL && kept->epoch == epoch)
        return false; /* a signal handler's call came first */
    *kept = (struct kept){state, epoch};
    return true;
}

/* Lets go of what this thread keeps. */
void core_forget_state(void)
{
    PyObject *dict = PyThreadState_GetDict();
    if (dict != NULL && PyDict_Contains(dict, core_word(CORE_WORD_KEPT)) > 0)
        PyDict_DelItem(dict, core_word(CORE_WORD_KEPT));
    PyErr_Clear();
}
