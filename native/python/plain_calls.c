/*
 * Channel.serve_plain(): calls that need nothing but their function, and what it returns is plain. No object of Python's is
 * made for such a message, and no function of Python's is called but that one: in a new clone each costs a page or two,
 * which are copied when they are written to. A clone for one such call does all its work so: core_serve_at_once().
 */
#define _GNU_SOURCE
#include "channel.h"
#include "hot_pages.h"
#include "mapping.h"
#include "plain_values.h"
#include "plan_object.h"
#include "words.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "epoch.h"

/* The numbers are src/ramet/_workers/in_call/serving.py's, which reads them. */
enum served { ENDED, ANOTHER, RETURNED, RAISED, ALONE };

#define NOT_LAST '+' /* a plan that says no more than that another call follows: call_request.py */

/* What is called before and after each function, and after the last one if there may be trackers; None for nothing. */
struct around {
    PyObject *before, *after, *finish;
};

/* Where a call lies in what has arrived. */
struct place {
    const char *call;
    size_t length, end;
    bool last;
};

/* Whether the message that is there is a call of a function by name, with a plan that says nothing or that it is not the last. */
static bool is_plain(const ChannelObject *self, struct place *place)
{
    struct core_message_head head;
    uint64_t lengths[2];
    memcpy(&head, self->data, sizeof head);
    if (head.kind != CORE_CALL || head.parts != 2 || head.descriptors > 0)
        return false;
    memcpy(lengths, self->data + sizeof head, sizeof lengths);
    const char *plan = self->data + sizeof head + sizeof lengths;
    place->call = plan + lengths[0];
    place->length = lengths[1];
    place->end = (size_t)(place->call - self->data) + place->length;
    place->last = lengths[0] == 0;
    return lengths[1] > 0 && *place->call == '(' && (lengths[0] == 0 || (lengths[0] == 1 && *plan == NOT_LAST));
}

/* The function, if its module is there and has it; NULL without an exception if not. */
static PyObject *function_of(PyObject *call)
{
    if (!PyTuple_CheckExact(call) || PyTuple_GET_SIZE(call) != 3 || !PyTuple_CheckExact(PyTuple_GET_ITEM(call, 2)))
        return NULL;
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *module = PyDict_CheckExact(modules) ? PyDict_GetItemWithError(modules, PyTuple_GET_ITEM(call, 0)) : NULL;
    PyObject *fn = module == NULL ? NULL : PyObject_GetAttr(module, PyTuple_GET_ITEM(call, 1));
    PyErr_Clear(); /* who reads the message says why */
    return fn;
}

static PyObject *answer(enum served served, PyObject *one, bool last)
{
    return one == NULL ? NULL : Py_BuildValue("iNN", served, one, PyBool_FromLong(last));
}

/* The exception that is set, of a function that was called; NULL where it ends the process. */
static PyObject *raised(void)
{
    return PyErr_ExceptionMatches(PyExc_SystemExit) ? NULL : core_take_exception();
}

static bool act(PyObject *function)
{
    PyObject *done = function == Py_None ? Py_NewRef(Py_None) : PyObject_CallNoArgs(function);
    Py_XDECREF(done);
    return done != NULL;
}

/* Whether this process may have a tracker of multiprocessing's, or of loky's, which is made of that: trackers.py. */
static bool may_have_tracker(void)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *name = core_word(CORE_WORD_TRACKER);
    bool has = name != NULL && PyDict_CheckExact(modules) && PyDict_Contains(modules, name) > 0;
    PyErr_Clear();
    return has;
}

static bool act_after(const struct around *around, bool last)
{
    return act(around->after) && (!last || around->finish == Py_None || !may_have_tracker() || act(around->finish));
}

/* Calls it and sends what it returns. ALONE: it was plain. */
static PyObject *call_one(ChannelObject *self, const struct around *around, PyObject *fn, PyObject *args, bool last)
{
    uint64_t epoch = ramet_epoch();
    if (!act(around->before))
        return NULL;
    PyObject *value = PyObject_CallObject(fn, args), *error = value == NULL ? raised() : NULL;
    if (value == NULL && error == NULL)
        return NULL;
    if (epoch != ramet_epoch()) /* a fork made in it, which came back as well */
        return value == NULL ? answer(RAISED, error, last) : answer(RETURNED, value, last);
    if (!act_after(around, last)) {
        Py_XDECREF(value);
        Py_XDECREF(error);
        return NULL;
    }
    if (error != NULL)
        return answer(RAISED, error, last);
    /* First: whoever has the outcome has seen all output. */
    int sent = core_flush_standard_streams() < 0 ? -1 : core_channel_send_plain(self, CORE_PLAIN, value);
    if (sent == 0)
        return answer(RETURNED, value, last);
    Py_DECREF(value);
    return sent < 0 ? NULL : answer(ALONE, Py_NewRef(Py_None), last);
}

/* A plain call, or NULL without an exception for a message that is another. */
static PyObject *serve_one(ChannelObject *self, const struct around *around, bool *goes_on)
{
    struct place place;
    PyObject *call = is_plain(self, &place) ? core_plain_read(place.call, place.length) : NULL;
    PyObject *fn = call == NULL ? NULL : function_of(call);
    PyErr_Clear();
    *goes_on = false;
    if (fn == NULL) {
        Py_XDECREF(call);
        return answer(ANOTHER, core_channel_take(self), false);
    }
    core_channel_drop(self, place.end);
    PyObject *found = call_one(self, around, fn, PyTuple_GET_ITEM(call, 2), place.last);
    Py_DECREF(fn);
    Py_DECREF(call);
    *goes_on = found != NULL && !place.last && PyLong_AsLong(PyTuple_GET_ITEM(found, 0)) == ALONE;
    return found;
}

static PyObject *serve(ChannelObject *self, const struct around *around)
{
    bool goes_on;
    for (;;) {
        enum core_arrival arrival = core_channel_await(self, Py_None, -1);
        if (arrival != CORE_ARRIVED)
            return arrival == CORE_NO_MORE ? answer(ENDED, Py_NewRef(Py_None), false) : NULL;
        PyObject *found = serve_one(self, around, &goes_on);
        if (!goes_on)
            return found;
        Py_DECREF(found);
    }
}

PyObject *core_channel_serve_plain(ChannelObject *self, PyObject *args)
{
    struct around around;
    if (!PyArg_ParseTuple(args, "OOO:serve_plain", &around.before, &around.after, &around.finish))
        return NULL;
    return serve(self, &around);
}

/* ---- a clone that serves one such call */

/* What AtOnce of in_template/template_process.py says. */
struct at_once {
    PyObject *plans, *renewals, *channels;
    struct around around;
    PyObject *last;
    int let_go_milliseconds;
    PyObject *calls, *ready, *hot_pages; /* of a spare; hot_pages: None for none */
    long most_hot_bytes;
};

static bool read_at_once(struct at_once *given, PyObject *from)
{
    struct around *around = &given->around;
    return PyArg_ParseTuple(from, "O!O!O!OOOOiO!O!Ol:at_once", &PyTuple_Type, &given->plans, &PyList_Type, &given->renewals,
                            &PyList_Type, &given->channels, &around->before, &around->after, &around->finish, &given->last,
                            &given->let_go_milliseconds, &PyTuple_Type, &given->calls, &PyTuple_Type, &given->ready,
                            &given->hot_pages, &given->most_hot_bytes);
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
        if (!act(PySequence_Fast_GET_ITEM(functions, i)))
            return false;
    return true;
}

/* ---- a spare */

static bool is_readable(int descriptor)
{
    struct pollfd call = {.fd = descriptor, .events = POLLIN};
    return poll(&call, 1, 0) > 0;
}

static bool serve_own(ChannelObject *ours, ChannelObject *theirs, PyObject *call)
{
    const struct around nothing = {Py_None, Py_None, Py_None};
    const struct core_part parts[] = {{"", 0}, {PyBytes_AS_STRING(call), (size_t)PyBytes_GET_SIZE(call)}};
    bool goes_on;
    if (!core_channel_send_parts(ours, CORE_CALL, parts, 2, -1) || core_channel_await(theirs, Py_None, -1) != CORE_ARRIVED)
        return false;
    PyObject *found = serve_one(theirs, &nothing, &goes_on);
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
    if (core_socket_pair(ends) < 0)
        return PyErr_SetFromErrno(PyExc_OSError) != NULL;
    ChannelObject *ours = core_channel_new(ends[0]), *theirs = core_channel_new(ends[1]);
    bool done = ours != NULL && theirs != NULL;
    for (Py_ssize_t i = 0; done && i < PyTuple_GET_SIZE(calls) && !is_readable(channel->descriptor); i++)
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

static bool prepare_spare(const ChannelObject *channel, const struct at_once *given, bool looks)
{
    return (PyTuple_GET_SIZE(given->calls) == 0 || warm_up(channel, given->calls)) && make_ready(given->ready) &&
           (given->hot_pages == Py_None || core_take_hot_pages(given->hot_pages, looks, given->most_hot_bytes, channel->descriptor));
}

/* ---- the clone */

/* Whether the call was plain, or there is none. False: the outcome is for Python, with the pid that served it. */
static bool serve_to_the_end(ChannelObject *channel, const struct at_once *given, PyObject **served)
{
    const int pid = getpid();
    PyObject *outcome = serve(channel, &given->around);
    long what = outcome == NULL ? -1 : PyLong_AsLong(PyTuple_GET_ITEM(outcome, 0));
    if (what != ALONE && what != ENDED) {
        *served = Py_BuildValue("iN", pid, outcome == NULL ? core_take_exception() : outcome);
        return false;
    }
    Py_DECREF(outcome);
    if (what == ALONE) {
        core_channel_await_end(channel, given->let_go_milliseconds);
        if (!act(given->last))
            return false;
    }
    return core_flush_standard_streams() == 0;
}

bool core_serve_at_once(ChannelObject *channel, PyObject *at_once, bool looks, PyObject **failed, PyObject **served)
{
    struct at_once given;
    if (!read_at_once(&given, at_once))
        return false;
    *failed = first_failed(given.plans);
    if (*failed != NULL || PyErr_Occurred() || !act_all(given.renewals) ||
        PyList_Append(given.channels, (PyObject *)channel) < 0 || !prepare_spare(channel, &given, looks))
        return false;
    return serve_to_the_end(channel, &given, served);
}
