/* What the files of Channel share. */
#pragma once

#include "channel.h"

#define INLINE_BYTES ((size_t)1 << 16) /* of a message, beside its head */
#define NO_DESCRIPTOR (-1)

/* Whether it is; else with an exception set. */
bool core_channel_is_open(const ChannelObject *self);

/*
 * Where a standard descriptor is closed, a new one may get its number, and what is printed would go into it. This gives
 * it a higher number, where there is room for another. True if so: the former is to be closed.
 */
bool core_move_above_standard(int *descriptor);

/* Methods of Channel. */
PyObject *core_channel_send(ChannelObject *self, PyObject *args);
PyObject *core_channel_send_value(ChannelObject *self, PyObject *args);
PyObject *core_channel_receive(ChannelObject *self, PyObject *args);
