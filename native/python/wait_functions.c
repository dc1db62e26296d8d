/* Waiting: for a word to change, and for a child in the kernel's own terms. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "futex.h"

#define NANOSECONDS 1e9
#define LONGEST_SECONDS 9e9 /* beyond this a timeout is for ever; it fits 64 bits of nanoseconds */

int64_t core_timeout(PyObject *seconds)
{
    if (seconds == Py_None)
        return -1;
    double value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            core_raise_invalid(PyExc_TypeError, "timeout", "seconds or None", seconds);
        return -2;
    }
    if (isnan(value) || value < 0) {
        core_raise_invalid(PyExc_ValueError, "timeout", "0 seconds or more", seconds);
        return -2;
    }
    return value > LONGEST_SECONDS ? -1 : (int64_t)(value * NANOSECONDS);
}

/* Sleeps until *word is `value`, or is not. */
static PyObject *wait_for(PyObject *seconds, int *word, int value, bool equal)
{
    int64_t timeout = core_timeout(seconds);
    if (timeout == -2)
        return NULL;
    int64_t deadline = timeout < 0 ? -1 : ramet_now() + timeout;
    for (bool first = true;; first = false) {
        int seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        if ((seen == value) == equal)
            Py_RETURN_TRUE;
        int64_t left = deadline < 0 ? -1 : deadline - ramet_now();
        if (deadline >= 0 && left <= 0)
            Py_RETURN_FALSE;
        if (first && (left < 0 || left > CORE_FIRST_LOOK))
            left = CORE_FIRST_LOOK;
        Py_BEGIN_ALLOW_THREADS
        ramet_futex_wait_while(word, seen, left);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0)
            return NULL;
    }
}

PyObject *core_wait_until(PyObject *seconds, int *word, int wanted)
{
    return wait_for(seconds, word, wanted, true);
}

PyObject *core_wait_while(PyObject *seconds, int *word, int value)
{
    return wait_for(seconds, word, value, false);
}

int64_t core_deadline(PyObject *seconds)
{
    int64_t timeout = core_timeout(seconds);
    return timeout < 0 ? timeout : ramet_now() + timeout;
}

/* poll() that ends neither before its time nor for a signal whose handler returns. */
int core_poll_all_until(struct pollfd *waited, unsigned long descriptors, int64_t deadline)
{
    for (bool first = true;; first = false) {
        int64_t nanoseconds = deadline < 0 ? INT64_MAX : deadline - ramet_now();
        if (first && nanoseconds > CORE_FIRST_LOOK)
            nanoseconds = CORE_FIRST_LOOK;
        struct timespec left = {.tv_sec = nanoseconds / RAMET_SECOND, .tv_nsec = nanoseconds % RAMET_SECOND};
        if (nanoseconds < 0)
            left = (struct timespec){0};
        int error = 0, count;
        Py_BEGIN_ALLOW_THREADS
        count = ppoll(waited, descriptors, nanoseconds == INT64_MAX ? NULL : &left, NULL);
        error = errno;
        Py_END_ALLOW_THREADS
        if (count > 0)
            return 1;
        if (count < 0 && error != EINTR) {
            core_raise_errno(-error);
            return -1;
        }
        if (PyErr_CheckSignals() < 0)
            return -1;
        if (deadline >= 0 && ramet_now() >= deadline)
            return 0;
    }
}

int core_poll_until(int descriptor, int other, int64_t deadline)
{
    struct pollfd waited[] = {{.fd = descriptor, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    return core_poll_all_until(waited, other < 0 ? 1 : 2, deadline);
}

PyObject *core_poll(int descriptor, PyObject *seconds)
{
    int64_t deadline = core_deadline(seconds);
    int readable = deadline == -2 ? -1 : core_poll_until(descriptor, -1, deadline);
    return readable < 0 ? NULL : PyBool_FromLong(readable);
}

PyObject *core_wait_readable(PyObject *module, PyObject *args)
{
    int descriptor;
    PyObject *seconds;
    (void)module;
    if (!PyArg_ParseTuple(args, "iO:wait_readable", &descriptor, &seconds))
        return NULL;
    return core_poll(descriptor, seconds);
}

PyObject *core_waitid(PyObject *module, PyObject *args)
{
    int type, options;
    long id, error;
    siginfo_t info;
    struct rusage used;
    (void)module;
    if (!PyArg_ParseTuple(args, "ili:waitid", &type, &id, &options))
        return NULL;
    do {
        memset(&info, 0, sizeof info);
        Py_BEGIN_ALLOW_THREADS
        /* The call itself, not libc's: it alone gives the rusage as well. */
        error = ramet_syscall5(__NR_waitid, type, id, &info, options, &used);
        Py_END_ALLOW_THREADS
    } while (error == -EINTR && PyErr_CheckSignals() == 0);
    if (PyErr_Occurred())
        return NULL;
    if (error < 0)
        return core_raise_errno(error);
    if (info.si_pid == 0)
        Py_RETURN_NONE;
    return Py_BuildValue("iiiy#", (int)info.si_pid, info.si_code, info.si_status, (const char *)&used, (Py_ssize_t)sizeof used);
}
