/* The numbers that a directory has for names, as /proc/PID/fd and /proc/PID/task do. */
#pragma once

#include "child.h"

struct ramet_listing {
    long descriptor; /* -errno where the directory cannot be opened */
    long length, at; /* bytes that were read last, or -errno; how far they were looked through */
    _Alignas(uint64_t) char entries[2048];
};

void ramet_listing_open(struct ramet_listing *listing, const char *path);

/* The next number, -1 after the last. */
long ramet_listing_next(struct ramet_listing *listing);

/* Begins again. */
void ramet_listing_rewind(struct ramet_listing *listing);

/* Whether all of it could be read. */
bool ramet_listing_close(struct ramet_listing *listing);
