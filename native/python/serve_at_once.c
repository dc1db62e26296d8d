/*
 * What a clone of a template does that serves plain calls, without Python: _begin() of in_template/clones_for_calls.py does the
 * same for all others. In a new clone each of its functions costs some pages, which are copied when they are written to.
 */
#define _GNU_SOURCE
#include "hot_pages.h"
#include "mapping.h"
#include "plain_calls.h"
#include "plan_object.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define FOR_PYTHON (-1)

/* What AtOnce of in_template/clone_work.py says. */
struct at_once {
    PyObject *plans, *renewals, *channels;
    struct core_around around;
    PyObject *last;
    int let_go_milliseconds;
    PyObject *calls, *ready, *hot_pages; /* of a spare; hot_pages: None for none */
    long most_hot_bytes;
    int calls_between_looks;
};

static bool read_at_once(struct at_once *given, PyObject *from)
{
    struct core_around *around = &given->around;
    return PyArg_ParseTuple(from, "O!O!O!OOOOOiO!O!Oli:at_once", &PyTuple_Type, &given->plans, &PyList_Type, &given->renewals,
                            &PyList_Type, &given->channels, &around->before, &around->after, &around->finish, &around->trust,
                            &given->last, &given->let_go_milliseconds, &PyTuple_Type, &given->calls, &PyTuple_Type, &given->ready,
                            &given->hot_pages, &given->most_hot_bytes, &given->calls_between_looks);
}

/* Which plan has failed, at which step, and the errno; NULL for none, or with an exception set. */
static PyObject *first_failed(PyObject *plans)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(plans); i++) {
        PlanObject *one = (PlanObject *)PyTuple_GET_ITEM(plans, i);
        int step, error;
        if (!core_do_plan(one->plan, &step, &error))
            return PyErr_NoMemory();
        if (step >= 0)
            return Py_BuildValue("nii", i, step, error);
    }
    return NULL;
}

static bool act_all(PyObject *functions)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(functions); i++)
        if (!core_act(PySequence_Fast_GET_ITEM(functions, i)))
            return false;
    return true;
}

/* ---- a spare */

static bool serve_own(ChannelObject *ours, ChannelObject *theirs, PyObject *call)
{
    const struct core_around nothing = {Py_None, Py_None, Py_None, Py_False};
    const struct core_part parts[] = {{"", 0}, {PyBytes_AS_STRING(call), (size_t)PyBytes_GET_SIZE(call)}};
    bool goes_on;
    if (!core_channel_send_parts(ours, CORE_CALL, parts, 2, -1) || core_channel_await(theirs, Py_None, -1) != CORE_ARRIVED)
        return false;
    PyObject *found = core_serve_plain_call(theirs, &nothing, &goes_on);
    bool is_there = found != NULL && core_channel_await(ours, Py_None, -1) == CORE_ARRIVED;
    PyObject *outcome = is_there ? core_channel_take(ours) : NULL;
    Py_XDECREF(found);
    Py_XDECREF(outcome);
    return outcome != NULL;
}

/* For the pages that a call writes to. One that is there by now does not wait for it. */
static bool warm_up(const ChannelObject *channel, PyObject *calls)
{
    int ends[2];
    if (core_socket_pair(ends) < 0) /* it can do without */
        return true;
    ChannelObject *ours = core_channel_new(ends[0]), *theirs = core_channel_new(ends[1]);
    bool done = ours != NULL && theirs != NULL;
    for (Py_ssize_t i = 0; done && i < PyTuple_GET_SIZE(calls) && !core_is_readable(channel->descriptor); i++)
        done = serve_own(ours, theirs, PyTuple_GET_ITEM(calls, i));
    Py_CLEAR(ours); /* the other sees its end */
    if (done)
        core_channel_await_end(theirs, -1);
    Py_XDECREF(theirs);
    return done || !PyErr_Occurred();
}

/* An interrupt that comes meanwhile is ignored, as before. */
static bool make_ready(PyObject *functions)
{
    sigset_t interrupts, before;
    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupts, &before);
    bool done = act_all(functions);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return done;
}

static bool prepare_spare(const ChannelObject *channel, const struct at_once *given, unsigned long long made)
{
    bool looks = made % (unsigned)given->calls_between_looks == 0;
    return warm_up(channel, given->calls) && make_ready(given->ready) &&
           (given->hot_pages == Py_None || core_take_hot_pages(given->hot_pages, looks, given->most_hot_bytes, channel->descriptor));
}

/* ---- the clone */

/* The exit code. FOR_PYTHON: the outcome is, with the pid that served it, or an exception is set. */
static int serve_to_the_end(ChannelObject *channel, const struct at_once *given, PyObject **served)
{
    const int pid = getpid();
    PyObject *outcome = core_serve_plain_calls(channel, &given->around);
    long what = outcome == NULL ? -1 : PyLong_AsLong(PyTuple_GET_ITEM(outcome, 0));
    if (what != CORE_SERVED_ALONE && what != CORE_SERVED_FAILED_ALONE && what != CORE_SERVED_ENDED) {
        *served = Py_BuildValue("iN", pid, outcome == NULL ? core_take_exception() : outcome);
        return FOR_PYTHON;
    }
    Py_DECREF(outcome);
    if (what != CORE_SERVED_ENDED) {
        core_channel_await_end(channel, given->let_go_milliseconds);
        if (!core_act(given->last))
            return FOR_PYTHON;
    }
    return core_flush_standard_streams() < 0 ? FOR_PYTHON : what == CORE_SERVED_FAILED_ALONE;
}

int core_serve_at_once(ChannelObject *channel, PyObject *at_once, unsigned long long made, PyObject **failed, PyObject **served)
{
    struct at_once given;
    if (!read_at_once(&given, at_once))
        return FOR_PYTHON;
    *failed = first_failed(given.plans);
    if (*failed != NULL || PyErr_Occurred() || !act_all(given.renewals) ||
        PyList_Append(given.channels, (PyObject *)channel) < 0)
        return FOR_PYTHON;
    bool is_spare = PyTuple_GET_SIZE(given.calls) > 0;
    if (is_spare && !prepare_spare(channel, &given, made))
        return FOR_PYTHON;
    return serve_to_the_end(channel, &given, served);
}
