/* The Python side of ramet._core. Only the files of this folder include <Python.h>. */
#ifndef RAMET_CORE_H
#define RAMET_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "birth.h"
#include "carrier.h"
#include "memory.h"

typedef struct {
    PyObject_HEAD
    struct ramet_stack *stack;
} StackObject;

typedef struct {
    PyObject_HEAD
    struct ramet_word *word;
} TidWordObject;

/* The caller's end of a carrier: a child that shares the memory. */
typedef struct {
    PyObject_HEAD
    struct ramet_carrier *carrier;
} SharedTaskObject;

extern PyTypeObject Stack_Type, TidWord_Type, SharedTask_Type;

/* The types are static: an interpreter of its own would share them, which is why this module refuses those. */
PyObject *core_shared_task_new(struct ramet_carrier *carrier);

/* Calls fn(arg) in a child and makes an exit code of what comes of it; what it raises is printed. */
int core_invoke(PyObject *fn, PyObject *arg);

/* Raises OSError for a result of -errno. Returns NULL. */
PyObject *core_raise_errno(long negative_errno);

/* A timeout in seconds (a number or None) as nanoseconds, -1 for None. -2 with an exception set when it is none. */
int64_t core_timeout(PyObject *seconds);

/* Sleeps until *word is `wanted`; seconds is a number or None. True, False when the time is up, NULL on a bad timeout or a signal. */
PyObject *core_wait_until(PyObject *seconds, int *word, int wanted);

/* A packed struct clone_args. False with an exception set when it has another size. */
bool core_read_args(struct ramet_clone_args *args, const Py_buffer *block);

PyObject *core_clone(PyObject *module, PyObject *args);
PyObject *core_has_clear_sighand(PyObject *module, PyObject *unused);
PyObject *core_has_clone3(PyObject *module, PyObject *unused);
PyObject *core_kill_sharer(PyObject *module, PyObject *args);
PyObject *core_spawn(PyObject *module, PyObject *args);
PyObject *core_waitid(PyObject *module, PyObject *args);

#endif
