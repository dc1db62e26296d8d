/* The memory in which the outcome of a function lies. */
#pragma once

#include "core.h"

typedef struct mapping {
    PyObject_HEAD
    unsigned char *start; /* NULL: none yet */
    size_t size;
    uint64_t epoch;       /* of the memory that it was made in */
    uint64_t rights;      /* of its maker, when it was made */
    int maker; /* the thread that made it */
    PyObject *trusted;    /* whether its child is trusted: True, False; None: by the child's rights */
    struct mapping *next; /* of those on their way to a child */
} MappingObject;

extern PyTypeObject Mapping_Type;

/* In the child of a copy: calls fn(*args) and writes down what came of it, as result_layout.py lays it out; a
 * fork made in fn writes nothing. Returns the exit code. */
int core_mapping_deliver(MappingObject *self, PyObject *fn, PyObject *args);

/* In the parent: a value that the core brought over by itself. NULL when there is none, with an exception set or without. */
PyObject *core_mapping_plain(const MappingObject *self);

/* In the parent: whether the child is believed by its rights; else its maker has set it. */
bool core_mapping_goes_by_rights(const MappingObject *self);

/* In the parent, when the child has ended: whether there is what is not read before the writer is known, such as a pickle. */
bool core_mapping_needs_trust(const MappingObject *self);

/* Later children of this process have no part in it. */
void core_mapping_keep_from_others(const MappingObject *self);

/* sys.stdout and sys.stderr; one that is broken, closed or missing is skipped. -1 with an exception set. */
int core_flush_standard_streams(void);
