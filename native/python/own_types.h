/* The static types of the module. */
#pragma once

#include "core.h"

/* -1 with an exception set. */
int core_add_types(PyObject *module);

/*
 * Python has ended. From 3.14 on it frees all interned names then, those in the dictionaries of these types as well: if it
 * is initialized again, it finds the types as they were compiled.
 */
void core_renew_types(void);
