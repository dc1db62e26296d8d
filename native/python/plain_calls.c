/*
 * Channel.serve_plain(): calls that need nothing but their function, and what it returns is plain. No object of Python's is
 * made for such a message, and no function of Python's is called but that one: in a new clone each costs a page or two,
 * which are copied when they are written to.
 */
#include "plain_calls.h"

#include "call_errors.h"
#include "call_pickles.h"
#include "call_plan.h"
#include "mapping.h"
#include "plain_values.h"
#include "words.h"

#include "credentials.h"
#include "epoch.h"

/* Where a call lies in what has arrived, and what it asks for. */
struct place {
    const char *call;
    size_t length, end;
    struct core_call_plan plan;
};

/* Whether the message that is there is a call that asks for little, and all is there that it needs. */
static bool asks_for_little(const ChannelObject *self, struct place *place)
{
    struct core_message_head head;
    uint64_t lengths[2];
    memcpy(&head, self->data, sizeof head);
    if (head.kind != CORE_CALL || head.parts < 2 || head.in_memfd || self->lost || self->count < head.descriptors ||
        head.descriptors > MOST_DESCRIPTORS)
        return false;
    memcpy(lengths, self->data + sizeof head, sizeof lengths);
    const char *plan = self->data + sizeof head + head.parts * sizeof *lengths;
    place->call = plan + lengths[0];
    place->length = lengths[1];
    place->end = (size_t)(place->call - self->data) + place->length;
    return core_read_call_plan(plan, lengths[0], &place->plan) && core_descriptors_of_plan(&place->plan) == head.descriptors;
}

/* Whether its arguments are plain, and nothing but its function may be a pickle. */
static bool is_plain(const struct place *place)
{
    return place->length > 0 && *place->call == '(';
}

/*
 * Whether it is a module's name, a function's, its arguments, and those by keyword if there are any; or None and the pickle of a
 * function, and so on.
 */
static bool is_call(PyObject *call)
{
    const Py_ssize_t count = PyTuple_CheckExact(call) ? PyTuple_GET_SIZE(call) : 0;
    return (count == 3 || (count == 4 && PyDict_CheckExact(PyTuple_GET_ITEM(call, 3)))) && PyTuple_CheckExact(PyTuple_GET_ITEM(call, 2));
}

static PyObject *keywords_of(PyObject *call)
{
    return PyTuple_GET_SIZE(call) == 4 ? PyTuple_GET_ITEM(call, 3) : NULL;
}

/* The function, if its module is there and has it; NULL without an exception if not. */
static PyObject *function_of(PyObject *call)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *module = PyDict_CheckExact(modules) ? PyDict_GetItemWithError(modules, PyTuple_GET_ITEM(call, 0)) : NULL;
    PyObject *fn = module == NULL ? NULL : PyObject_GetAttr(module, PyTuple_GET_ITEM(call, 1));
    PyErr_Clear(); /* who reads the message says why */
    return fn;
}

static PyObject *answer(enum core_served served, PyObject *one, bool last)
{
    return one == NULL ? NULL : Py_BuildValue("iNN", served, one, PyBool_FromLong(last));
}

/* The exception that is set, of a function that was called; NULL where it ends the process. */
static PyObject *raised(void)
{
    return PyErr_ExceptionMatches(PyExc_SystemExit) ? NULL : core_take_exception();
}

bool core_act(PyObject *function)
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

static bool act_after(const struct core_around *around, bool last)
{
    return core_act(around->after) && (!last || around->finish == Py_None || !may_have_tracker() || core_act(around->finish));
}

static bool is_trusted(PyObject *trust)
{
    return PyBool_Check(trust) ? trust == Py_True : PyLong_AsUnsignedLongLongMask(trust) == ramet_credentials_now();
}

/* Of what: a function, its arguments, and those by keyword or NULL. */
struct called {
    PyObject *fn, *args, *keywords;
};

/* Sends what a function has raised, or leaves that to Python. After the last call alone: the exit code is then that of a failure. */
static PyObject *tell_error(ChannelObject *self, const struct core_around *around, PyObject *error, bool last)
{
    int sent = 0;
    if (last && is_trusted(around->trust))
        sent = core_flush_standard_streams() < 0 ? -1 : core_send_error(self, error);
    if (sent == 0)
        return answer(CORE_SERVED_RAISED, error, last);
    Py_DECREF(error);
    return sent < 0 ? NULL : answer(CORE_SERVED_FAILED_ALONE, Py_NewRef(Py_None), last);
}

/* Calls it and sends what it returns. CORE_SERVED_ALONE: it was plain, or a pickle that needs nothing else. */
static PyObject *call_one(ChannelObject *self, const struct core_around *around, struct called what, bool last)
{
    uint64_t epoch = ramet_epoch();
    if (!core_act(around->before))
        return NULL;
    PyObject *value = PyObject_Call(what.fn, what.args, what.keywords), *error = value == NULL ? raised() : NULL;
    if (value == NULL && error == NULL)
        return NULL;
    if (epoch != ramet_epoch()) /* a fork made in it, which came back as well */
        return value == NULL ? answer(CORE_SERVED_RAISED, error, last) : answer(CORE_SERVED_RETURNED, value, last);
    if (!act_after(around, last)) {
        Py_XDECREF(value);
        Py_XDECREF(error);
        return NULL;
    }
    if (error != NULL)
        return tell_error(self, around, error, last);
    /* First: whoever has the outcome has seen all output. */
    int sent = core_flush_standard_streams() < 0 ? -1 : core_channel_send_plain(self, CORE_PLAIN, value);
    PyObject *unsent = NULL;
    if (sent == 0 && is_trusted(around->trust))
        sent = core_send_pickled(self, CORE_VALUE, value, &unsent);
    if (sent == 0 && unsent == NULL)
        return answer(CORE_SERVED_RETURNED, value, last);
    Py_DECREF(value);
    if (unsent != NULL)
        return answer(CORE_SERVED_PICKLED, unsent, last);
    return sent < 0 ? NULL : answer(CORE_SERVED_ALONE, Py_NewRef(Py_None), last);
}

/* The exception that is set says why; NULL with it set where it ends the process. */
static PyObject *not_begun(enum core_served why, bool last)
{
    return PyErr_ExceptionMatches(PyExc_Exception) ? answer(why, core_take_exception(), last) : NULL;
}

/* Whether all that the plan says is done; if not, what came of the call, as not_begun() gives it. */
static bool is_prepared(const struct core_call_plan *plan, PyObject *steps, const int *descriptors, PyObject **found)
{
    PyObject *failed = core_carry_out_plan(plan, steps, descriptors);
    if (failed == Py_None) {
        Py_DECREF(failed);
        return true;
    }
    *found = failed == NULL ? not_begun(CORE_SERVED_UNPREPARED, true) : answer(CORE_SERVED_STEP_FAILED, failed, true);
    return false;
}

/* The function is that of the call, or its pickle, which is read now. */
static PyObject *serve_function(ChannelObject *self, const struct core_around *around, PyObject *call, PyObject *fn, bool last)
{
    PyObject *read = fn == NULL ? core_read_pickled_function(PyTuple_GET_ITEM(call, 1)) : Py_NewRef(fn);
    if (read == NULL)
        return not_begun(CORE_SERVED_UNREAD, last);
    const struct called what = {read, PyTuple_GET_ITEM(call, 2), keywords_of(call)};
    PyObject *found = call_one(self, around, what, last);
    Py_DECREF(read);
    return found;
}

/* A call of a function that is there by its name, or is a pickle. NULL without an exception for another, whose message stays. */
static PyObject *serve_alone(ChannelObject *self, const struct core_around *around, const struct place *place, PyObject *steps)
{
    PyObject *call = core_plain_read(place->call, place->length), *fn = NULL, *found = NULL;
    const bool is_known = call != NULL && is_call(call), is_pickled = is_known && PyTuple_GET_ITEM(call, 0) == Py_None;
    PyErr_Clear();
    if (is_known && !is_pickled)
        fn = function_of(call);
    if (fn != NULL || is_pickled) {
        int descriptors[MOST_DESCRIPTORS];
        core_channel_take_descriptors(self, descriptors, core_descriptors_of_plan(&place->plan));
        core_channel_drop(self, place->end);
        if (is_prepared(&place->plan, steps, descriptors, &found))
            found = serve_function(self, around, call, fn, place->plan.last);
    }
    Py_XDECREF(fn);
    Py_XDECREF(call);
    return found;
}

static PyObject *serve_message(ChannelObject *self, const struct core_around *around, PyObject *message, bool last)
{
    PyObject *call = core_read_pickled_call(PyTuple_GET_ITEM(message, 1));
    if (call == NULL)
        return not_begun(CORE_SERVED_UNREAD, last);
    PyObject *found = call_one(self, around, (struct called){PyTuple_GET_ITEM(call, 0), PyTuple_GET_ITEM(call, 1), NULL}, last);
    Py_DECREF(call);
    return found;
}

static PyObject *serve_pickled(ChannelObject *self, const struct core_around *around, const struct core_call_plan *plan, PyObject *steps)
{
    PyObject *message = core_channel_take(self), *found = NULL;
    if (message == NULL)
        return NULL;
    PyObject *taken = PyTuple_GET_ITEM(message, 2);
    int descriptors[MOST_DESCRIPTORS];
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(taken); i++)
        descriptors[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(taken, i));
    if (is_prepared(plan, steps, descriptors, &found))
        found = serve_message(self, around, message, plan->last);
    Py_DECREF(message);
    return found;
}

/* NULL without an exception for what is for Python; the message stays then. */
static PyObject *serve_little(ChannelObject *self, const struct core_around *around, const struct place *place)
{
    const bool plain = is_plain(place);
    if (!plain && !core_is_pickled(place->call, place->length))
        return NULL;
    PyObject *steps = core_steps_of_plan(&place->plan);
    if (steps == NULL)
        return NULL;
    PyObject *found = plain ? serve_alone(self, around, place, steps) : serve_pickled(self, around, &place->plan, steps);
    Py_DECREF(steps);
    return found;
}

PyObject *core_serve_plain_call(ChannelObject *self, const struct core_around *around, bool *goes_on)
{
    struct place place;
    PyObject *found = NULL;
    *goes_on = false;
    if (asks_for_little(self, &place))
        found = serve_little(self, around, &place);
    if (found == NULL)
        return PyErr_Occurred() ? NULL : answer(CORE_SERVED_ANOTHER, core_channel_take(self), false);
    *goes_on = !place.plan.last && PyLong_AsLong(PyTuple_GET_ITEM(found, 0)) == CORE_SERVED_ALONE;
    return found;
}

PyObject *core_serve_plain_calls(ChannelObject *self, const struct core_around *around)
{
    bool goes_on;
    for (;;) {
        enum core_arrival arrival = core_channel_await(self, Py_None, -1);
        if (arrival != CORE_ARRIVED)
            return arrival == CORE_NO_MORE ? answer(CORE_SERVED_ENDED, Py_NewRef(Py_None), false) : NULL;
        PyObject *found = core_serve_plain_call(self, around, &goes_on);
        if (!goes_on)
            return found;
        Py_DECREF(found);
    }
}

PyObject *core_channel_serve_plain(ChannelObject *self, PyObject *args)
{
    struct core_around around = {.trust = Py_False};
    if (!PyArg_ParseTuple(args, "OOO:serve_plain", &around.before, &around.after, &around.finish))
        return NULL;
    return core_serve_plain_calls(self, &around);
}
