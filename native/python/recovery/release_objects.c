/* The objects of a function that was killed at a safe point: what only it held is given up, the rest is kept. */
#include "python_inside.h"
#include "python_internals.h"

#define MOST_HELD_BESIDES 7

/*
 * Since 3.11.1 a frame that is being left is off the chain before what it holds is let go of. The
 * collector links the objects that it looks at to its own stack, which may be the dead task's. Without a
 * GIL references are counted in other ways.
 */
static bool can_release(PyThreadState *dead)
{
#ifdef Py_GIL_DISABLED
    (void)dead;
    return false;
#else
    return core_is_on(CORE_OBJECTS) && Py_Version >= 0x030b01f0 && !dead->interp->gc.collecting;
#endif
}

/* What the state and the task hold, which is more than their frames do. */
static int places_besides(PyThreadState *dead, SharedTaskObject *task, PyObject **places[MOST_HELD_BESIDES])
{
    int count = 0;
    places[count++] = &dead->context;
    places[count++] = &dead->exc_state.exc_value;
#if PY_VERSION_HEX >= 0x030c0000
    places[count++] = &dead->current_exception;
#else
    places[count++] = &dead->curexc_value;
    places[count++] = &dead->curexc_traceback;
#endif
    if (task == NULL)
        return count;
    places[count++] = &task->fn;
    places[count++] = &task->args;
    places[count++] = &task->context;
    return count;
}

static bool gather(struct core_objects *references, const struct core_dead_frames *found, PyObject **const *places, int count)
{
    for (int i = 0; i < count; i++)
        if (*places[i] != NULL && !core_objects_add(references, *places[i]))
            return false;
    return core_owned_by_frames(found, references);
}

void core_release_take(struct core_release *release, PyThreadState *dead, struct core_dead_frames *found,
                       SharedTaskObject *task)
{
    PyObject **places[MOST_HELD_BESIDES];
    int count = places_besides(dead, task, places);
    if (!can_release(dead) || !core_move_frames_to_heap(found) || !gather(&release->references, found, places, count) ||
        !core_reach(&release->references, &release->kept)) {
        core_objects_free(&release->references);
        core_objects_free(&release->kept);
        return;
    }
    for (size_t i = 0; i < release->kept.count; i++)
        Py_INCREF(release->kept.items[i]);
    for (int i = 0; i < count; i++)
        *places[i] = NULL;
    release->given_up = core_empty_frames(found);
    if (found->references < release->given_up)
        found->references = release->given_up; /* now that it is known of more */
}

void core_release_finish(struct core_release *release)
{
    for (size_t i = 0; i < release->references.count; i++)
        Py_DECREF(release->references.items[i]);
    core_objects_free(&release->references);
    core_objects_free(&release->kept);
}
