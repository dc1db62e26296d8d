/* Waiting: for a word to change, and for a child in the kernel's own terms. */
#include "core.h"

#include <errno.h>
#include <math.h>
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
    if (value == -1.0 && PyErr_Occurred())
        return -2;
    if (isnan(value) || value < 0) {
        PyErr_SetString(PyExc_ValueError, isnan(value) ? "timeout is not a number" : "timeout is negative");
        return -2;
    }
    return value > LONGEST_SECONDS ? -1 : (int64_t)(value * NANOSECONDS);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

PyObject *core_wait_until(PyObject *seconds, int *word, int wanted)
{
    int64_t timeout = core_timeout(seconds);
    if (timeout == -2)
        return NULL;
    int64_t deadline = timeout < 0 ? -1 : now() + timeout;
    for (;;) {
        int value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        if (value == wanted)
            Py_RETURN_TRUE;
        int64_t left = deadline < 0 ? -1 : deadline - now();
        if (deadline >= 0 && left <= 0)
            Py_RETURN_FALSE;
        Py_BEGIN_ALLOW_THREADS
        ramet_futex_wait_while(word, value, left);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0)
            return NULL;
    }
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

static PyObject *tuple_of_rusage(const struct rusage *used)
{
    return Py_BuildValue("ddllllllllllllll", seconds_of(used->ru_utime), seconds_of(used->ru_stime), used->ru_maxrss,
                         used->ru_ixrss, used->ru_idrss, used->ru_isrss, used->ru_minflt, used->ru_majflt, used->ru_nswap,
                         used->ru_inblock, used->ru_oublock, used->ru_msgsnd, used->ru_msgrcv, used->ru_nsignals,
                         used->ru_nvcsw, used->ru_nivcsw);
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
    return Py_BuildValue("iiiN", (int)info.si_pid, info.si_code, info.si_status, tuple_of_rusage(&used));
}
