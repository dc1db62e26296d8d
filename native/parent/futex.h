/* Waits with a time limit, and their clock. By raw calls: a host thread waits while its thread-local block is lent. */
#pragma once

#include "futex_word.h"

#define RAMET_MILLISECOND INT64_C(1000000)
#define RAMET_SECOND (1000 * RAMET_MILLISECOND)

/* The monotonic clock in nanoseconds. */
int64_t ramet_now(void);

/* Sleeps between two looks at something that no event reports. */
void ramet_pause(int64_t nanoseconds);

/* ramet_futex_wait() until a time of the clock, negative for none. */
long ramet_futex_wait_until(int *word, int value, int64_t time);

/* Waits once while *word is value; timeout in nanoseconds, negative for none. 0, -ETIMEDOUT or -EINTR. */
int ramet_futex_wait_while(int *word, int value, int64_t timeout);
