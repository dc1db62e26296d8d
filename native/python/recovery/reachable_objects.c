/*
 * What is reached from some references and from nowhere else. As the garbage collector does it: references are
 * counted, and an object is reached from nowhere else if all that it has were met on the way.
 *
 * First without cycles: what is met as often as it has references is gone through at once, and so nothing that
 * other code has is ever looked into. What is left may be other code's, or part of a cycle; only that is gone
 * through whole, together with all that can be reached from it.
 */
#include "python_inside.h"

#include <stdlib.h>

#include "words.h"

#define MOST_LOOKED_AT 100000 /* objects, in search of cycles: some tens of milliseconds */

/* ---- tables of objects */

struct entry {
    PyObject *object;
    Py_ssize_t met; /* how many of its references were seen */
};

#define ALIVE (-1) /* it has others */

struct table {
    struct entry *entries;
    size_t count, room; /* a power of two */
};

static struct entry *place_of(const struct table *table, PyObject *object)
{
    size_t at = ((uintptr_t)object >> 4) * 0x9e3779b97f4a7c15u >> 20;
    while (table->entries[at & (table->room - 1)].object != NULL && table->entries[at & (table->room - 1)].object != object)
        at++;
    return &table->entries[at & (table->room - 1)];
}

static bool make_room(struct table *table)
{
    struct table larger = {.count = table->count, .room = table->room == 0 ? 256 : 2 * table->room};
    if (2 * (table->count + 1) <= table->room)
        return true;
    larger.entries = calloc(larger.room, sizeof *larger.entries);
    if (larger.entries == NULL)
        return false;
    for (size_t i = 0; i < table->room; i++)
        if (table->entries[i].object != NULL)
            *place_of(&larger, table->entries[i].object) = table->entries[i];
    free(table->entries);
    *table = larger;
    return true;
}

/* NULL where it is not in it. */
static struct entry *find(const struct table *table, PyObject *object)
{
    struct entry *entry = table->room == 0 ? NULL : place_of(table, object);
    return entry == NULL || entry->object == NULL ? NULL : entry;
}

/* NULL when there is no memory for it. */
static struct entry *find_or_add(struct table *table, PyObject *object)
{
    struct entry *entry = make_room(table) ? place_of(table, object) : NULL;
    if (entry != NULL && entry->object == NULL) {
        entry->object = object;
        table->count++;
    }
    return entry;
}

struct reach {
    struct table met;          /* what has more than one reference */
    struct core_objects ready; /* what is reached from nowhere else, and not gone through yet */
    struct table circle;       /* what may be part of a cycle, with all that it leads to... */
    struct core_objects order; /* ...as it was found */
    struct core_objects *kept;
};

/* ---- without cycles */

static bool keep_or_go_through(struct reach *reach, PyObject *object)
{
    return core_objects_add(core_is_plain_container(object) ? &reach->ready : reach->kept, object);
}

/* -1 where the counts are not what they should be, or memory lacks. */
static int meet(PyObject *object, void *context)
{
    struct reach *reach = context;
    if (core_is_immortal(object) || core_is_plain_leaf(object))
        return 0;
    Py_ssize_t references = Py_REFCNT(object);
    if (references <= 0)
        return -1;
    if (references == 1)
        return keep_or_go_through(reach, object) ? 0 : -1;
    struct entry *entry = find_or_add(&reach->met, object);
    if (entry == NULL || ++entry->met > references)
        return -1;
    return entry->met < references || keep_or_go_through(reach, object) ? 0 : -1;
}

static bool go_on(struct reach *reach)
{
    while (reach->ready.count > 0)
        if (core_go_through(reach->ready.items[--reach->ready.count], meet, reach) < 0)
            return false;
    return true;
}

static bool meet_all(struct reach *reach, const struct core_objects *references)
{
    for (size_t i = 0; i < references->count; i++)
        if (meet(references->items[i], reach) < 0 || !go_on(reach))
            return false;
    return true;
}

/* ---- with cycles */

/* Whether these are the names of a module that is imported. */
static bool is_of_a_module(PyObject *dict)
{
    PyObject *key = core_word(CORE_WORD_NAME);
    if (key == NULL)
        return false;
    PyObject *name = PyDict_GetItemWithError(dict, key), *modules = PyImport_GetModuleDict();
    PyObject *module = name == NULL || !PyUnicode_CheckExact(name) || !PyDict_CheckExact(modules)
                           ? NULL
                           : PyDict_GetItemWithError(modules, name);
    return module != NULL && PyModule_Check(module) && PyModule_GetDict(module) == dict;
}

/* Behind these is half of all that there is; and they are other code's. */
static bool is_elsewhere(PyObject *object)
{
    PyObject *dict = PyModule_Check(object) ? PyModule_GetDict(object) : object;
    return dict != NULL && PyDict_CheckExact(dict) && is_of_a_module(dict);
}

/* What is not tracked may be half made, but for the plain ones, which are not tracked where they are part of no cycle. */
static bool can_be_in_cycle(PyObject *object)
{
    return !core_is_immortal(object) && !core_is_plain_leaf(object) && PyObject_IS_GC(object) &&
           (core_is_plain_container(object) || PyObject_GC_IsTracked(object)) && !is_elsewhere(object);
}

/* NULL when there is no memory for it, or too much of it. */
static struct entry *add_to_circle(struct reach *reach, PyObject *object)
{
    size_t before = reach->circle.count;
    struct entry *entry = before < MOST_LOOKED_AT ? find_or_add(&reach->circle, object) : find(&reach->circle, object);
    if (entry != NULL && reach->circle.count > before && !core_objects_add(&reach->order, object))
        return NULL;
    return entry;
}

static int meet_in_circle(PyObject *object, void *context)
{
    struct entry *entry = find(&((struct reach *)context)->circle, object);
    if (entry == NULL && can_be_in_cycle(object) && (entry = add_to_circle(context, object)) == NULL)
        return -1;
    if (entry != NULL)
        entry->met++;
    return 0;
}

static bool draw_circle(struct reach *reach)
{
    for (size_t i = 0; i < reach->met.room; i++) {
        const struct entry *met = &reach->met.entries[i];
        if (met->object == NULL || met->met == Py_REFCNT(met->object) || !can_be_in_cycle(met->object))
            continue;
        struct entry *entry = add_to_circle(reach, met->object);
        if (entry == NULL)
            return false;
        entry->met = met->met;
    }
    for (size_t i = 0; i < reach->order.count; i++)
        if (core_go_through(reach->order.items[i], meet_in_circle, reach) < 0)
            return false;
    return true;
}

static int bring_to_life(PyObject *object, void *context)
{
    struct reach *reach = context;
    struct entry *entry = find(&reach->circle, object);
    if (entry == NULL || entry->met == ALIVE)
        return 0;
    entry->met = ALIVE;
    return core_objects_add(&reach->ready, object) ? 0 : -1;
}

static bool find_the_living(struct reach *reach)
{
    for (size_t i = 0; i < reach->order.count; i++) {
        PyObject *object = reach->order.items[i];
        if (find(&reach->circle, object)->met < Py_REFCNT(object) && bring_to_life(object, reach) < 0)
            return false;
        while (reach->ready.count > 0)
            if (core_go_through(reach->ready.items[--reach->ready.count], bring_to_life, reach) < 0)
                return false;
    }
    return true;
}

/* From a part of a cycle: all that can end with it has been found already, but for what no cycle can go through. */
static int meet_beside(PyObject *object, void *context)
{
    struct reach *reach = context;
    return find(&reach->circle, object) != NULL || is_elsewhere(object) ? 0 : meet(object, context);
}

static bool keep_of_cycles(struct reach *reach)
{
    for (size_t i = 0; i < reach->order.count; i++) {
        PyObject *object = reach->order.items[i];
        if (find(&reach->circle, object)->met == ALIVE)
            continue;
        if (!core_is_plain_container(object) && !core_objects_add(reach->kept, object))
            return false;
        if (core_is_plain_container(object) && core_go_through(object, meet_beside, reach) < 0)
            return false;
    }
    return go_on(reach);
}

/* Where there was too much to look at, or it was half made: whatever may be part of a cycle. */
static bool keep_the_rest(struct reach *reach, bool looked)
{
    for (size_t i = 0; i < reach->met.room; i++) {
        const struct entry *met = &reach->met.entries[i];
        if (met->object == NULL || met->met == Py_REFCNT(met->object) || !PyObject_IS_GC(met->object) ||
            is_elsewhere(met->object) || (looked && find(&reach->circle, met->object) != NULL))
            continue;
        if (!core_objects_add(reach->kept, met->object))
            return false;
    }
    return true;
}

bool core_reach(const struct core_objects *references, struct core_objects *kept)
{
    struct reach reach = {.kept = kept};
    bool done = meet_all(&reach, references);
    if (done) {
        bool looked = draw_circle(&reach);
        done = (!looked || (find_the_living(&reach) && keep_of_cycles(&reach))) && keep_the_rest(&reach, looked);
    }
    free(reach.met.entries);
    free(reach.circle.entries);
    core_objects_free(&reach.ready);
    core_objects_free(&reach.order);
    return done;
}
