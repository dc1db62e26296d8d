/* What the files of this folder have in common. */
#pragma once

#include "python_recovery.h"

/* ---- python_parts.c */

enum core_part { CORE_GIL, CORE_FRAMES, CORE_COLLECTOR, CORE_OBJECTS, CORE_FILES, CORE_INTERPRETERS, CORE_PARTS };

/* Why a part does nothing; NULL: it works, but for the switch. */
void core_set_part(enum core_part part, const char *why_off);
bool core_is_on(enum core_part part);

/* NULL where all may work. */
const char *core_recovery_switch(void);

/* ---- for recognize_python.c. Whether what is there is what is known by other means */

/* dead_frames.c. As recognize() is called: in a `with` block of the sample, which is the first variable of the first frame. */
bool core_knows_frames(PyObject *sample);

/* Whether frames may be read, though nothing is changed in them. */
void core_read_frames(bool may_be_read);

/* gil.c. By the thread that has it. In seconds. */
bool core_knows_gil(double switch_interval);

/* collector.c. How often each generation was collected, as gc.get_stats() has it. */
bool core_knows_collector(PyObject *collections);

/* interpreter_list.c */
bool core_knows_interpreters(void);

/* ---- object_list.c. False when there is no memory for it. */
bool core_objects_add(struct core_objects *objects, PyObject *object);
void core_objects_free(struct core_objects *objects);

/* ---- tracked_objects.c: all objects that the garbage collector of this interpreter knows */

/*
 * Shows each of them to visit(), with the GIL, those among them that gc.freeze() hides from gc.get_objects(), as
 * long as it says that it goes on; none before Python 3.12 where the collector is not known. Nothing may be made or
 * given up meanwhile that the collector would know.
 */
void core_visit_tracked(bool (*visit)(PyObject *object, void *context), void *context);

/* ---- stack_depth.c */

/*
 * With the GIL. How many entries the frame owns for certain while this instruction (counted in code units) is
 * carried out: those below the ones that it takes. -1 where that is not to be found out.
 */
int core_stack_depth(PyCodeObject *code, Py_ssize_t instruction);

/* A number of a code object's exception table: six bits a byte, the highest first (InternalDocs/exception_handling.md). */
static inline unsigned int core_read_varint(const unsigned char **at, const unsigned char *end)
{
    unsigned int value = 0;
    while (*at < end) {
        unsigned char byte = *(*at)++;
        value = value << 6 | (byte & 63);
        if (!(byte & 64))
            break;
    }
    return value;
}

/* ---- dead_frames.c */

/*
 * With the GIL, of a task that stood where other threads could run. A thread that has a frame as an object has it for
 * itself afterwards, with those that called it, as after a return. False when there is no memory for it.
 */
bool core_move_frames_to_heap(struct core_dead_frames *found);

/* Whether it is an object that has its frame for itself. */
bool core_is_whole_frame(PyObject *object);

/* Once they are moved: adds what they own for certain to the list. False when there is no memory for it. */
bool core_owned_by_frames(const struct core_dead_frames *found, struct core_objects *owned);

/* Takes it away from them: from here on it is the caller's to give up. How many of the found references it was. */
long core_empty_frames(const struct core_dead_frames *found);

/* With the GIL: the noted ones as a list of (code, variables, entries), the last entered first; NULL with an exception set. */
PyObject *core_noted_frames(const struct core_dead_frames *found);

/* ---- plain_objects.c: objects whose end is no more than that their memory is free again */

/* Before the first question: a class that is written in Python, whose instances are tracked by the garbage collector. */
void core_plain_ready(PyTypeObject *class);

/* Whether it holds nothing that has to be looked at, and can end anywhere. */
bool core_is_plain_leaf(PyObject *object);

/*
 * Whether it can end anywhere once what it holds can: it has one of the interpreter's own types, or a class
 * written in Python that has no finalizer and derives from these only; and nothing is told of its end (no weak
 * reference). core_go_through() shows all that it holds.
 */
bool core_is_plain_container(PyObject *object);

/* As its tp_traverse does, and more where that does not show all. */
int core_go_through(PyObject *object, visitproc visit, void *context);

/* Whether it is never freed, and its references are not counted. */
bool core_is_immortal(PyObject *object);

/* ---- reachable_objects.c */

/*
 * With the GIL. Finds what has to be kept alive before these references, each of which is owned, are
 * given up: then nothing that is not plain ends with them, now or when the garbage collector finds a
 * cycle that they have left. Nothing is changed. False where that could not be found out.
 */
bool core_reach(const struct core_objects *references, struct core_objects *kept);

/* ---- collector.c: the garbage collector, within which a child in shared memory may die */

/*
 * With the GIL, before anything else is done where the dead task's stack was. It may have died while code of
 * Python ran within the collector (a finalizer, a weak reference's callback): what was being looked at is
 * the collector's again then, and other threads can use it. What was found.
 */
enum core_collecting core_leave_collector(const struct core_dead_stack *stack);

/*
 * The same where it is known that the dead task was within it, and nothing is on its stack: its callbacks at its beginning
 * and end.
 */
enum core_collecting core_end_collection(void);

/* ---- buffered.c */

/* With the GIL: gives back the locks of buffered files that a thread held that has died. No Python code runs in it. */
void core_leave_buffered_of(unsigned long ident);

/* ---- gil.c */

/* For a child that is stopped, will be killed, and sleeps on this word: it is off the count of those that wait for the GIL. */
void core_gil_remove_waiter(const int *word);
