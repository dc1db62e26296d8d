/* A wait on a futex word ends at its deadline, and at once when the word has another value. */
#include "check.h"
#include "futex.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND (1000 * MILLISECOND)

int main(void)
{
    int word = 0;
    int64_t begin = ramet_now();
    CHECK(ramet_futex_wait_while(&word, 0, 2 * MILLISECOND) == -ETIMEDOUT);
    CHECK(ramet_now() - begin >= 2 * MILLISECOND);
    CHECK(ramet_futex_wait_while(&word, 1, -1) == 0);
    int64_t end = ramet_now() + 2 * MILLISECOND;
    const struct timespec time = {.tv_sec = end / SECOND, .tv_nsec = end % SECOND};
    CHECK(ramet_futex_wait_until(&word, 0, &time) == -ETIMEDOUT);
    CHECK(ramet_now() >= end);
    CHECK(ramet_futex_wait_until(&word, 1, &time) == -EAGAIN);
    return passed();
}
