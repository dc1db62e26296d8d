/* A detached thread has the stack that was asked for and no signal comes to it; its maker's signal mask stays as it is. */
#include <pthread.h>

#include "check.h"
#include "detached_thread.h"
#include "futex_word.h"

enum { STACK_BYTES = 1 << 20 };

static struct {
    int done;
    bool blocked;
    size_t stack_size;
} seen;

static void *run(void *context)
{
    pthread_attr_t attributes;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    seen.blocked = sigismember(&mask, SIGINT) && sigismember(&mask, SIGSYS);
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, &seen.stack_size);
    pthread_attr_destroy(&attributes);
    ramet_futex_set(context, 1);
    return NULL;
}

int main(void)
{
    ramet_set_signal_mask(5);
    CHECK(ramet_start_detached_thread(run, &seen.done, STACK_BYTES) == 0);
    CHECK(ramet_block_signals() == 5);
    ramet_futex_await_change(&seen.done, 0);
    CHECK(seen.blocked && seen.stack_size >= STACK_BYTES && seen.stack_size < 2 * STACK_BYTES);
    CHECK(ramet_start_detached_thread(run, &seen.done, 1) == EINVAL); /* too small */
    return passed();
}
