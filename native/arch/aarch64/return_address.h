/*
 * A return address on the stack of an arm64 task may be signed, in the bits above those of an address: see Linux'
 * Documentation/arch/arm64/pointer-authentication.rst.
 */
#pragma once

#include <stdint.h>

#define RAMET_ADDRESS_BITS 48

static inline uintptr_t ramet_return_address(const void *word)
{
    return (uintptr_t)word & ((UINT64_C(1) << RAMET_ADDRESS_BITS) - 1);
}
