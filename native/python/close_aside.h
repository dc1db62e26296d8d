#pragma once

#include "core.h"

/*
 * Closes what a child has sent and nobody took. A close() may wait: for the peer of a TCP socket that lingers, for who
 * serves a file of FUSE; so does the end of what still lies in a socket. It is no longer than the child lives. Where there
 * is no thread to be had, which a child can see to, it is closed after a later message.
 */
void core_close_all_aside(const int *descriptors, size_t count);
