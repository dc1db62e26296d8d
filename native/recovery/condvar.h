/*
 * glibc's condition variables, from the inside (nptl/pthread_cond_common.c). One counts who waits on it:
 * who was killed there is waited for by the next but one who signals, for ever, until glibc 2.40; and a
 * signal is lost on him since. So the dead are taken off the count. Nothing here is needed, or done, with
 * another libc.
 */
#ifndef RAMET_CONDVAR_H
#define RAMET_CONDVAR_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A task that is stopped, and will be killed, sleeps on this word: if that is one of the condition
 * variable's, it is off the count. By raw calls.
 */
void ramet_condvar_strike_off(pthread_cond_t *condvar, const int *word);

/*
 * The condition variable on which a stopped task waits that sleeps on this word. stack: what lies there from its
 * stack pointer up. NULL when it waits on something else: a semaphore's word looks the same.
 */
pthread_cond_t *ramet_condvar_of(void *const *stack, size_t count, const int *word);

/*
 * Words of the stack of a thread that died, nobody knows where. What lies there may be of an earlier wait; so from each
 * condition variable that is found only so many are taken off as it counts and as do not sleep on it.
 */
#define RAMET_CONDVAR_WINDOW_WORDS 64 /* in which all of one wait lies */
void ramet_condvar_forget_dead(void *const *stack, size_t count);

/*
 * With the mutex of the condition variable: takes off whoever died on it. All who wait are woken, as they
 * may be for no reason at any time: a signal may have been meant for the dead, or died with him. Who lives and
 * has not left it when he was woken is taken for dead after so many nanoseconds.
 */
void ramet_condvar_heal(pthread_cond_t *condvar, int64_t patience);

/*
 * The same for a mutex that is not to be had, since its owner signals and waits for the dead: lets him go
 * on. tid: the owner's.
 */
void ramet_condvar_let_go_on(pthread_cond_t *condvar, int tid);

#endif
