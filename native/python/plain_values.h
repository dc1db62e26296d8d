/*
 * Values that need no pickle: they are read without any danger, whoever wrote them. None, bool, int of 64 bits, float, text
 * and bytes; tuples, lists and dicts of these and of each other. No list or dict lies in the value twice: so none of what is
 * reached twice could be changed, and a copy is as good as the value itself.
 */
#pragma once

#include "core.h"

#define CORE_MOST_PLAIN_BYTES 16384

/* Writes the value. How many bytes it takes, -1 when it is not plain or takes more; sets no exception. */
Py_ssize_t core_plain_write(PyObject *value, char *place, size_t room);

/* The value, from memory that nobody else writes to. NULL with a ValueError for what no core_plain_write() has written. */
PyObject *core_plain_read(const char *bytes, size_t length);
