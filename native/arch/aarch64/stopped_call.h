/*
 * When an arm64 task is stopped, Linux forgets in which system call it is (do_signal(), arch/arm64/kernel/signal.c). A task
 * whose call will be begun anew is set back to its svc; one whose call has returned is behind it. What the code before it
 * puts into w8 is the number.
 */
#pragma once

#define RAMET_STOP_HIDES_CALL 1
#define RAMET_INSTRUCTIONS_BEFORE_CALL 16 /* among which glibc and musl set w8 */

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t ramet_instruction;

static inline bool ramet_is_system_call(ramet_instruction word)
{
    return word == 0xd4000001; /* svc #0 */
}

/* The number where this is "mov w8, #number" or "mov x8, #number", else -1. */
static inline long ramet_number_set_by(ramet_instruction word)
{
    return (word & 0x7fe0001f) == 0x52800008 ? (long)(word >> 5 & 0xffff) : -1;
}

/* Whether what stands before it says nothing of w8 behind it. */
static inline bool ramet_is_end_of_search(ramet_instruction word)
{
    bool leaves = word == 0xd65f03c0 || (word & 0xfc000000) == 0x14000000; /* ret, b */
    bool sets = (word & 0x7fe0ffff) == 0x2a0003e8;                         /* mov w8 or x8, another register */
    return leaves || sets || ramet_is_system_call(word);
}
