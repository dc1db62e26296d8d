/*
 * The collector keeps what it looks at in rings, whose heads are on the stack of the thread in which it runs, and
 * that it runs in a word of the interpreter: no thread begins while that is set. A thread that dies leaves both.
 *
 * Its rings are known by their heads, two words that both their neighbours lead back to. While code of Python
 * runs within it there is one that is not empty, and all are whole.
 */
#define _GNU_SOURCE
#include "python_inside.h"
#include "python_internals.h"

#define MARKS ((uintptr_t)3) /* in the lowest bits of both words */
#define IS_LOOKED_AT ((uintptr_t)2) /* of `before`: it may hold a count instead */
#define MOST_RINGS 8

/* PyGC_Head: it lies before each object that the collector knows, and begins each ring. */
struct link {
    uintptr_t next, before;
};

static uintptr_t next_of(const struct link *link)
{
    return link->next & ~MARKS;
}

static uintptr_t before(const struct link *link)
{
    return link->before & ~MARKS;
}

/* Words on a stack may lead anywhere: so the kernel reads what they lead to. */
static bool copy(void *to, uintptr_t from, size_t size)
{
    return ramet_read_memory(to, from, size) == size;
}

/* Python's list of who waits for a lock is linked in the same way, but not through objects. */
static bool is_of_an_object(uintptr_t address)
{
    PyObject object;
    PyTypeObject type, kind;
    return copy(&object, address + sizeof(struct link), sizeof object) &&
           copy(&type, (uintptr_t)Py_TYPE(&object), sizeof type) && copy(&kind, (uintptr_t)Py_TYPE(&type), sizeof kind) && (kind.tp_flags & Py_TPFLAGS_TYPE_SUBCLASS) != 0 &&
           (type.tp_flags & Py_TPFLAGS_HAVE_GC) != 0;
}

static bool is_head(const struct link *head, uintptr_t address)
{
    struct link next, last;
    if (head->next == address || (head->next & MARKS) != 0 || (head->before & MARKS) != 0)
        return false;
    return copy(&next, head->next, sizeof next) && before(&next) == address && copy(&last, head->before, sizeof last) &&
           next_of(&last) == address && is_of_an_object(head->next) && is_of_an_object(head->before);
}

/* From its first link to its last. */
static bool is_whole(const struct link *head, uintptr_t address)
{
    uintptr_t last = address;
    for (uintptr_t at = head->next; at != address; last = at, at = next_of((const struct link *)at))
        if (before((const struct link *)at) != last)
            return false;
    return last == head->before;
}

/* Its head is not there any more. They have no marks afterwards, but that of whose finalizer was called. */
static void give_back_ring(const struct link *head)
{
    struct link *first = (struct link *)head->next, *last = (struct link *)head->before;
    last->next = (uintptr_t)first | (last->next & MARKS);
    first->before = (uintptr_t)last | (first->before & MARKS);
    for (struct link *link = first, *next; link != NULL; link = next) {
        next = link == last ? NULL : (struct link *)next_of(link);
        PyObject_GC_UnTrack(link + 1);
        PyObject_GC_Track(link + 1);
    }
}

#ifndef Py_GIL_DISABLED

static bool check(PyObject *object, void *context)
{
    const struct link *link = (const struct link *)object - 1;
    bool *whole = context;
    *whole = (link->before & IS_LOOKED_AT) == 0 && before((const struct link *)next_of(link)) == (uintptr_t)link;
    return *whole;
}

/* Whether it can go through all that it knows: not, if the dead task was moving a part of it. */
static bool can_go_on(void)
{
    bool whole = true;
    core_visit_tracked(check, &whole);
    return whole;
}

#else

static bool can_go_on(void)
{
    return true;
}

#endif

enum core_collecting core_end_collection(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (!core_is_on(CORE_COLLECTOR) || !interpreter->gc.collecting)
        return CORE_NOT_COLLECTING;
    if (!can_go_on())
        return CORE_COLLECTOR_STAYS;
    interpreter->gc.collecting = 0;
    return CORE_COLLECTOR_GIVEN_BACK;
}

#ifndef Py_GIL_DISABLED

static int find_rings(const struct core_dead_stack *stack, struct link *heads, bool *whole)
{
    int count = 0;
    uintptr_t address = stack->top - stack->count * sizeof(void *);
    for (size_t i = 0; i + 1 < stack->count && count < MOST_RINGS; i++, address += sizeof(void *)) {
        const struct link head = {(uintptr_t)stack->words[i], (uintptr_t)stack->words[i + 1]};
        if (!is_head(&head, address))
            continue;
        *whole = *whole && is_whole(&head, address);
        heads[count++] = head;
    }
    return count;
}

enum core_collecting core_leave_collector(const struct core_dead_stack *stack)
{
    struct link heads[MOST_RINGS];
    bool whole = true;
    int count = core_is_on(CORE_COLLECTOR) && PyInterpreterState_Get()->gc.collecting ? find_rings(stack, heads, &whole) : 0;
    if (count == 0)
        return CORE_NOT_COLLECTING;
    if (!whole || !can_go_on())
        return CORE_COLLECTOR_STAYS;
    for (int i = 0; i < count; i++)
        give_back_ring(&heads[i]);
    return core_end_collection();
}

#else

/* Without a GIL it keeps nothing of the kind. */
enum core_collecting core_leave_collector(const struct core_dead_stack *stack)
{
    (void)stack;
    return CORE_NOT_COLLECTING;
}

#endif

/* ---- whether it is where it is looked for */

#if PY_VERSION_HEX >= 0x030d0000

static bool knows_word(const struct _gc_runtime_state *collector, PyObject *collections)
{
    (void)collector, (void)collections;
    return true; /* debuggers are told of it */
}

#else

/* It lies behind how often each generation was collected. */
static bool knows_word(const struct _gc_runtime_state *collector, PyObject *collections)
{
    bool knows = PyTuple_GET_SIZE(collections) == NUM_GENERATIONS;
    for (Py_ssize_t i = 0; knows && i < NUM_GENERATIONS; i++)
        knows = collector->generation_stats[i].collections == PyLong_AsSsize_t(PyTuple_GET_ITEM(collections, i));
    return knows;
}

#endif

#ifndef Py_GIL_DISABLED

static bool knows_links(void)
{
    PyObject *list = PyList_New(0);
    const struct link *link = (const struct link *)list - 1;
    bool known = list != NULL && PyObject_GC_IsTracked(list) && before((const struct link *)next_of(link)) == (uintptr_t)link &&
                 next_of((const struct link *)before(link)) == (uintptr_t)link;
    Py_XDECREF(list);
    return known;
}

#else

static bool knows_links(void)
{
    return true;
}

#endif

bool core_knows_collector(PyObject *collections)
{
    const struct _gc_runtime_state *collector = &PyInterpreterState_Get()->gc;
    return (collector->enabled != 0) == PyGC_IsEnabled() && (collector->collecting == 0 || collector->collecting == 1) &&
           knows_word(collector, collections) && knows_links();
}
