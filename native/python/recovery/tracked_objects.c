/* All objects that the garbage collector of this interpreter knows, by the way that each version has. */
#include "python_inside.h"
#include "python_internals.h"

struct tour {
    bool (*visit)(PyObject *object, void *context);
    void *context;
};

/* 3.12 has the same function, which passes over what gc.freeze() has frozen. */
#if PY_VERSION_HEX >= 0x030d0000

static int go_on(PyObject *object, void *context)
{
    const struct tour *tour = context;
    return tour->visit(object, tour->context);
}

static void go_through(struct tour *tour)
{
    PyUnstable_GC_VisitObjects(go_on, tour);
}

#else

/* Whether it is to go on. */
static bool go_through_generation(const struct gc_generation *generation, const struct tour *tour)
{
    const PyGC_Head *head = &generation->head;
    for (PyGC_Head *each = _PyGCHead_NEXT(head); each != head; each = _PyGCHead_NEXT(each))
        if (!tour->visit((PyObject *)(each + 1), tour->context))
            return false;
    return true;
}

static void go_through(struct tour *tour)
{
    if (!core_is_on(CORE_COLLECTOR))
        return;
    const struct _gc_runtime_state *collector = &PyInterpreterState_Get()->gc;
    bool on = true;
    for (int i = 0; on && i < NUM_GENERATIONS; i++)
        on = go_through_generation(&collector->generations[i], tour);
    if (on)
        go_through_generation(&collector->permanent_generation, tour);
}

#endif

void core_visit_tracked(bool (*visit)(PyObject *object, void *context), void *context)
{
    struct tour tour = {visit, context};
    go_through(&tour);
}
