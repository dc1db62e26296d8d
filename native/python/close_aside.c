/* Closes descriptors in a thread, where a close() may wait for somebody else. */
#define _GNU_SOURCE
#include "close_aside.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "detached_thread.h"
#include "epoch.h"

/* What a thread is to close, of the process and the memory that received it. */
struct closing {
    struct closing *next;
    pid_t process;
    uint64_t epoch;
    size_t count;
    int descriptors[];
};

/* For which there was no thread. It is taken as a whole, so that it needs no lock, which a fork might copy in use. */
static struct closing *_Atomic left;

/* So that none waits for its peer, which may be behind it. */
static void end_lingering(const struct closing *closing)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    for (size_t i = 0; i < closing->count; i++)
        setsockopt(closing->descriptors[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void *close_them(void *context)
{
    for (const struct closing *closing = context; closing != NULL; closing = closing->next)
        end_lingering(closing);
    for (struct closing *closing = context; closing != NULL;) {
        struct closing *next = closing->next;
        for (size_t i = 0; i < closing->count; i++)
            close(closing->descriptors[i]);
        free(closing);
        closing = next;
    }
    return NULL;
}

static void leave_for_later(struct closing *closing)
{
    while (closing != NULL) {
        struct closing *next = closing->next;
        closing->next = atomic_load(&left);
        while (!atomic_compare_exchange_weak(&left, &closing->next, closing))
            ;
        closing = next;
    }
}

/* What was left by this process: in a copy of it, or a child in its memory, the numbers may be those of other files. */
static struct closing *take_left(void)
{
    struct closing *taken = atomic_exchange(&left, NULL), *ours = NULL, *others = NULL;
    while (taken != NULL) {
        struct closing *next = taken->next;
        struct closing **place = taken->process == getpid() && taken->epoch == ramet_epoch() ? &ours : &others;
        taken->next = *place;
        *place = taken;
        taken = next;
    }
    leave_for_later(others);
    return ours;
}

void core_close_all_aside(const int *descriptors, size_t count)
{
    if (count == 0 && atomic_load(&left) == NULL)
        return;
    struct closing *all = take_left();
    if (count > 0) {
        struct closing *closing = malloc(sizeof *closing + count * sizeof *descriptors);
        for (size_t i = 0; closing == NULL && i < count; i++)
            close(descriptors[i]);
        if (closing != NULL) {
            *closing = (struct closing){.next = all, .process = getpid(), .epoch = ramet_epoch(), .count = count};
            memcpy(closing->descriptors, descriptors, count * sizeof *descriptors);
            all = closing;
        }
    }
    if (all != NULL && ramet_start_detached_thread(close_them, all, 0) != 0)
        leave_for_later(all);
}

PyObject *core_close_aside(PyObject *module, PyObject *number)
{
    const long descriptor = PyLong_AsLong(number);
    (void)module;
    if (descriptor == -1 && PyErr_Occurred())
        return NULL;
    core_close_all_aside(&(int){(int)descriptor}, 1);
    Py_RETURN_NONE;
}
