/*
 * What the core calls of ramet's Python code, by name. All is looked up before it is needed, and a missing name is an
 * ImportError.
 */
#pragma once

#include "core.h"

enum core_name {
    CORE_LOSSES,
    CORE_TAKE_STOCK,
    CORE_AFTER_INTERRUPT,
    CORE_ACTIVE_THREADS,
    CORE_TASK_THREAD,
    CORE_JOIN_THREADS,
    CORE_RECOVER_THREADS,
    CORE_ARE_NATIVE,
    CORE_TELL_LOST,
    CORE_CLOSE_LEFT,
    CORE_ABANDON_LEFT,
    CORE_PREPARE_CHANNEL,
    CORE_PUT_ERROR,
    CORE_PUT_OBJECT,
    CORE_PUT_DATA_OR_OBJECT,
    CORE_PUT_DATA,
    CORE_COMPARE_RIGHTS,
    CORE_STREAM_FAILED,
    CORE_FORGET_CHILD,
    CORE_LEAVE_NAMESPACE,
    CORE_HAS_NO,
    CORE_ADD_SHARER,
    CORE_NAMES
};

/* When they are needed. */
enum core_need { CORE_FOR_SHARED_MEMORY, CORE_FOR_COPIES, CORE_FOR_STREAMS, CORE_FOR_CHILDREN, CORE_NEEDS };

/*
 * Imports the modules, once in each interpreter, and finds the names in them. False with an exception set: the ImportError names what is
 * missing. An interpreter that ends imports nothing any more, and goes on without.
 */
bool core_look_up(enum core_need need);

/* A borrowed reference; NULL in an interpreter that ends. */
PyObject *core_named(enum core_name name);

/* Of a method its last name, by which an object of the class is called. */
const char *core_method(enum core_name name);

/* With the exception of an import set: whether the interpreter ends, and goes on without. Then it is cleared. */
bool core_does_without(void);
