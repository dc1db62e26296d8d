/* The pages of a template that calls write to: see hot_pages.c. */
#pragma once

#include "core.h"

/*
 * In a spare: looks which pages are copied before its call, or copies those that were noted, of so many bytes at most, until
 * calls can be read. False with an exception set.
 */
bool core_take_hot_pages(PyObject *hot_pages, bool looks, long most_bytes, int calls);
