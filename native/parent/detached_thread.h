/* A thread of libc's that no other thread joins and that receives no signal. */
#pragma once

#include <stddef.h>

/* stack_size: in bytes, 0 for libc's default. 0, or an errno. */
int ramet_start_detached_thread(void *(*run)(void *), void *context, size_t stack_size);
