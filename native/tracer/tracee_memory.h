/* Reading the memory of a tracee that is stopped. What cannot be read ends what is read, and is no error. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes were read, up to the first page that cannot be. */
size_t ramet_tracee_read(int tid, uint64_t address, void *to, size_t size);

struct ramet_tracee_text {
    size_t length; /* without its end */
    bool is_cut;   /* it is longer, or its end cannot be read */
};

/* A string, of which at most so many bytes are read. */
struct ramet_tracee_text ramet_tracee_string(int tid, uint64_t address, char *to, size_t most);
