/* The new thread inherits its signal mask, so all signals are blocked while it is made. */
#include "detached_thread.h"

#include <pthread.h>
#include <signal.h>

#include "child.h"

/* libc does not block its own two signals, and must not: setuid() waits for their handlers. */
static int create(pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    const ramet_sigset mask = ramet_block_signals();
    pthread_t thread;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    int error = pthread_create(&thread, attributes, run, context);
    ramet_set_signal_mask(mask);
    return error;
}

int ramet_start_detached_thread(void *(*run)(void *), void *context, size_t stack_size)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack_size != 0)
        error = pthread_attr_setstacksize(&attributes, stack_size);
    if (error == 0)
        error = create(&attributes, run, context);
    pthread_attr_destroy(&attributes);
    return error;
}
