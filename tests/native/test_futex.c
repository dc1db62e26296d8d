/* A wait on a futex word ends at its deadline, and at once when the word has another value. */
#include "check.h"
#include "futex.h"

int main(void)
{
    int word = 0;
    int64_t begin = ramet_now();
    CHECK(ramet_futex_wait_while(&word, 0, 2 * RAMET_MILLISECOND) == -ETIMEDOUT);
    CHECK(ramet_now() - begin >= 2 * RAMET_MILLISECOND);
    CHECK(ramet_futex_wait_while(&word, 1, -1) == 0);
    int64_t end = ramet_now() + 2 * RAMET_MILLISECOND;
    CHECK(ramet_futex_wait_until(&word, 0, end) == -ETIMEDOUT);
    CHECK(ramet_now() >= end);
    CHECK(ramet_futex_wait_until(&word, 1, end) == -EAGAIN);
    return passed();
}
