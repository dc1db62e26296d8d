/* This memory, read by the kernel: what a dead task has left may lead to where nothing is. */
#ifndef RAMET_READ_MEMORY_H
#define RAMET_READ_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* How many of the bytes there are, from the first on; errno is left alone. */
size_t ramet_read_memory(void *to, uintptr_t from, size_t size);

#endif
