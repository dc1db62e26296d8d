/* On x86_64 a return address on a stack is as it is. */
#pragma once

#include <stdint.h>

static inline uintptr_t ramet_return_address(const void *word)
{
    return (uintptr_t)word;
}
