/* What a call has raised, see call_errors.c. */
#pragma once

#include "channel.h"

/* 1; 0: nothing was sent, it is for Python; -1 with an exception set. */
int core_send_error(ChannelObject *channel, PyObject *error);
