/*
 * ramet._core.PlainLink, of which Link is made: plain calls on spares, in their caller. A call now and then finds the caches of
 * the processor cold, and each function of Python's that it passes through costs it microseconds. So what most calls do is
 * done here, in two steps. Where anything is not as it mostly is, a step has done nothing, and its answer leaves all of it to
 * Python. Handlers of signals run in a step only while it waits. What comes from the template besides: link_answers.c.
 */
#define _GNU_SOURCE
#include "plain_link.h"

#include <structmember.h>
#include <unistd.h>

#include "child_handle.h"
#include "clone_owner.h"
#include "link_answers.h"
#include "namespace_of_child.h"
#include "plain_values.h"

#include "futex.h"

#define SECONDS_TO_END 1.0 /* called_child.py, _END_OF_UNTRUSTED_SECONDS */

/* ---- its lists: the spares that wait, and what was asked of the template and not answered: (number, token or None, layer) */

static PyObject *first_of(PyObject *list)
{
    return PyList_Check(list) && PyList_GET_SIZE(list) > 0 ? PyList_GET_ITEM(list, 0) : NULL;
}

/* -1 with an exception set. */
static int drop_first(PyObject *list)
{
    return PyList_SetSlice(list, 0, 1, NULL);
}

PyObject *core_link_take_first(PyObject *list)
{
    PyObject *first = Py_XNewRef(first_of(list));
    if (first != NULL && drop_first(list) < 0)
        Py_CLEAR(first);
    return first;
}

static bool is_for_spare(PyObject *asked)
{
    return PyTuple_GET_ITEM(asked, 1) == Py_None;
}

static unsigned long long number_of(PyObject *asked)
{
    return PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(asked, 0));
}

/* Whether the next answer is a spare. Not so where a handler of a signal has raised between an answer and its note. */
static bool awaits_spare(const LinkObject *self)
{
    PyObject *first = first_of(self->asked);
    return first != NULL && is_for_spare(first) && number_of(first) == self->control->taken - self->taken_before;
}

/* The same for what was asked last. */
static bool has_sent_all(const LinkObject *self)
{
    Py_ssize_t count = PyList_GET_SIZE(self->asked);
    return count == 0 || number_of(PyList_GET_ITEM(self->asked, count - 1)) < self->control->sent - self->sent_before;
}

static Py_ssize_t count_spares(const LinkObject *self)
{
    Py_ssize_t count = PyList_GET_SIZE(self->waiting);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(self->asked); i++)
        count += is_for_spare(PyList_GET_ITEM(self->asked, i));
    return count;
}

/* ---- its lock, and that of a child's outcome */

/* Whether it was free, or the calling thread's. */
static bool try_lock(PyObject *lock)
{
    PyObject *taken = PyObject_CallMethod(lock, "acquire", "O", Py_False);
    bool is_taken = taken == Py_True;
    Py_XDECREF(taken);
    return is_taken;
}

/* Leaves an exception that is set. */
static void unlock(PyObject *lock)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    Py_XDECREF(PyObject_CallMethod(lock, "release", NULL));
    PyErr_Restore(type, error, traceback);
}

/* ---- a call begins */

/* What is wrong with a socket or a message is found again by Python, which says it; what a handler has raised has a traceback. */
static void clear_own_error(void)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    bool is_own = type != NULL && traceback == NULL &&
                  (PyErr_GivenExceptionMatches(type, PyExc_ValueError) || PyErr_GivenExceptionMatches(type, PyExc_OSError));
    if (is_own) {
        Py_DECREF(type);
        Py_XDECREF(error);
    } else
        PyErr_Restore(type, error, traceback);
}

static bool is_ours(const LinkObject *self)
{
    return self->is_plain && self->maker == getpid();
}

/* The one part of a call that needs no pickle. */
static PyObject *plain_part(PyObject *call)
{
    PyObject *part = PyTuple_CheckExact(call) && PyTuple_GET_SIZE(call) == 1 ? PyTuple_GET_ITEM(call, 0) : NULL;
    bool is_plain = part != NULL && PyBytes_CheckExact(part) && PyBytes_GET_SIZE(part) > 0 && *PyBytes_AS_STRING(part) == '(' &&
                    (size_t)PyBytes_GET_SIZE(part) <= CORE_MOST_PLAIN_BYTES;
    return is_plain ? part : NULL;
}

/* One that Python has to look at goes to those that wait. */
static CloneOwnerObject *taken_over(LinkObject *self, CloneOwnerObject *clone)
{
    PyObject *asked = core_link_take_first(self->asked);
    if (asked != NULL && clone->has_own_numbers && !clone->is_doubted) {
        Py_DECREF(asked);
        self->last_told = clone->pid;
        return clone;
    }
    PyObject *done = asked == NULL ? NULL : PyObject_CallMethod((PyObject *)self, "_answered_by", "OO", clone, asked);
    Py_XDECREF(done);
    Py_XDECREF(asked);
    Py_DECREF(clone);
    return NULL;
}

static CloneOwnerObject *receive_spare(LinkObject *self)
{
    if (!awaits_spare(self) || !core_channel_has_message(self->control))
        return NULL;
    PyObject *doubted = self->is_doubted ? Py_True : Py_False, *confined = self->is_confined ? Py_True : Py_False;
    PyObject *clone = PyObject_CallFunctionObjArgs(self->clone_type, doubted, confined, NULL);
    if (clone == NULL)
        return NULL;
    int taken = PyObject_TypeCheck(clone, &CloneOwner_Type) && awaits_spare(self) /* the collector may have run */
                    ? core_channel_take_clone(self->control, (CloneOwnerObject *)clone)
                    : 0;
    if (taken > 0)
        return taken_over(self, (CloneOwnerObject *)clone);
    Py_DECREF(clone);
    return NULL;
}

static CloneOwnerObject *first_waiting(LinkObject *self)
{
    PyObject *clone = Py_XNewRef(first_of(self->waiting));
    if (clone != NULL && (drop_first(self->waiting) < 0 || !PyObject_TypeCheck(clone, &CloneOwner_Type)))
        Py_CLEAR(clone);
    return (CloneOwnerObject *)clone;
}

/*
 * One that was to have a pid namespace, which could not be made, is no less good: its outcome is read in another way, which
 * Python knows, and so it goes to those that wait.
 */
static CloneOwnerObject *unless_another_reads(LinkObject *self, CloneOwnerObject *clone)
{
    if (clone == NULL || (clone->init != 0) == self->in_namespace)
        return clone;
    PyList_Insert(self->waiting, 0, (PyObject *)clone);
    Py_DECREF(clone);
    return NULL;
}

/* One that is there already. NULL with an exception set, or without: there is none. */
static CloneOwnerObject *take_spare(LinkObject *self)
{
    if (!try_lock(self->lock))
        return NULL;
    CloneOwnerObject *clone = first_of(self->waiting) == NULL ? receive_spare(self) : first_waiting(self);
    clone = unless_another_reads(self, clone);
    unlock(self->lock);
    return clone;
}

/* With an empty plan. False if it has ended: somebody has killed it. What a handler has raised is set then. */
static bool send_call(CloneOwnerObject *clone, PyObject *part)
{
    const struct core_part parts[] = {{"", 0}, {PyBytes_AS_STRING(part), (size_t)PyBytes_GET_SIZE(part)}};
    if (core_has_ended(clone->pidfd))
        return false;
    bool sent = core_channel_send_parts((ChannelObject *)clone->channel, CORE_CALL, parts, 2, ramet_now());
    if (!sent)
        clear_own_error();
    return sent;
}

static bool set(PyObject *object, const char *name, PyObject *value)
{
    return value != NULL && PyObject_SetAttrString(object, name, value) == 0;
}

/* As CalledChild.connect() does. False with an exception set; the clone is its owner's still. */
static bool connect_child(LinkObject *self, PyObject *child, CloneOwnerObject *clone, PyObject *ended_call)
{
    PyObject *reading = PyObject_CallNoArgs((PyObject *)Py_TYPE(self->lock));
    bool is_set = set(child, "_reading", reading) && set(child, "_reader", self->reader) && set(child, "_ended_call", ended_call) &&
                  set(child, "_link", (PyObject *)self) && set(child, "_channel", clone->channel);
    Py_XDECREF(reading);
    if (!is_set)
        return false;
    if (self->is_untrusted)
        core_channel_distrust((ChannelObject *)clone->channel);
    core_handle_hold_init((HandleObject *)child, clone->init, clone->pidfd_of_init);
    core_handle_hold((HandleObject *)child, clone->pid, clone->pidfd);
    clone->owns = false;
    return true;
}

static PyObject *link_begin(LinkObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyObject_TypeCheck(args[0], &Handle_Type))
        return PyErr_Format(PyExc_TypeError, "_begin_plain(child, call, ended_call)");
    PyObject *part = plain_part(args[1]);
    CloneOwnerObject *clone = part != NULL && is_ours(self) ? take_spare(self) : NULL;
    if (clone == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_False);
    bool is_held = send_call(clone, part) && connect_child(self, args[0], clone, args[2]);
    Py_DECREF(clone); /* what it owns still is ended, and reaped later */
    return is_held || !PyErr_Occurred() ? PyBool_FromLong(is_held) : NULL;
}

/* ---- its outcome */

static bool is_over(PyObject *child)
{
    PyObject *over = PyObject_GetAttrString(child, "_is_over");
    bool answer = over != Py_False;
    Py_XDECREF(over);
    return answer;
}

/* NULL with an exception set, or without: it is no plain value, and stays there. */
static PyObject *receive_plain(ChannelObject *channel, HandleObject *child)
{
    if (core_channel_await(channel, Py_None, child->let_go ? -1 : child->pidfd) != CORE_ARRIVED) {
        clear_own_error();
        return NULL;
    }
    struct core_message_head head;
    uint64_t bytes;
    const size_t place = sizeof head + sizeof bytes;
    memcpy(&head, channel->data, sizeof head);
    if (head.kind != CORE_PLAIN || head.parts != 1 || head.in_memfd || head.descriptors > 0 || is_over((PyObject *)child))
        return NULL;
    memcpy(&bytes, channel->data + sizeof head, sizeof bytes);
    PyObject *value = core_plain_read(channel->data + place, bytes);
    if (value == NULL)
        clear_own_error();
    else
        core_channel_drop(channel, place + bytes);
    return value;
}

/* The call is over: as CalledChild notes it. */
static bool note_outcome(const LinkObject *self, HandleObject *child, PyObject *value)
{
    PyObject *taken = Py_BuildValue("iO", CORE_VALUE, value);
    if (taken == NULL)
        return false;
    Py_XSETREF(child->taken, taken);
    if (self->is_untrusted) {
        PyObject *end = PyFloat_FromDouble((double)ramet_now() / (double)RAMET_SECOND + SECONDS_TO_END);
        bool is_set = set((PyObject *)child, "_must_end_by", end);
        Py_XDECREF(end);
        if (!is_set)
            return false;
    }
    return set((PyObject *)child, "_is_over", Py_True);
}

/* Whether it is believed as much as this template's plain calls are; not so where its call was asked to be trusted less. */
static bool is_read_alike(const LinkObject *self, PyObject *child)
{
    PyObject *reader = PyObject_GetAttrString(child, "_reader");
    bool answer = reader == self->reader;
    Py_XDECREF(reader);
    return answer;
}

static PyObject *take_outcome(LinkObject *self, PyObject *child, PyObject *channel, PyObject *reading)
{
    if (!PyObject_TypeCheck(channel, &Channel_Type) || !is_read_alike(self, child) || !try_lock(reading))
        return NULL;
    PyObject *value = is_over(child) ? NULL : receive_plain((ChannelObject *)channel, (HandleObject *)child);
    if (value != NULL && !note_outcome(self, (HandleObject *)child, value))
        Py_CLEAR(value);
    unlock(reading);
    return value;
}

/* From the end, where it is alone but for what a handler has asked for meanwhile. */
static void forget_asked(LinkObject *self, PyObject *asked)
{
    for (Py_ssize_t i = PyList_GET_SIZE(self->asked); i-- > 0;)
        if (PyList_GET_ITEM(self->asked, i) == asked) {
            PyList_SetSlice(self->asked, i, i + 1, NULL);
            return;
        }
}

/* One that could not be asked for is asked for by a later call. False with an exception set. */
static bool ask_for_spare(LinkObject *self)
{
    const struct core_part part = {PyBytes_AS_STRING(self->request), (size_t)PyBytes_GET_SIZE(self->request)};
    PyObject *asked = Py_BuildValue("KOO", self->control->sent - self->sent_before, Py_None, Py_None);
    if (asked == NULL || PyList_Append(self->asked, asked) < 0) {
        Py_XDECREF(asked);
        return false;
    }
    if (!core_channel_send_parts(self->control, CORE_MAKE, &part, 1, ramet_now())) {
        clear_own_error();
        forget_asked(self, asked);
    }
    Py_DECREF(asked);
    return !PyErr_Occurred();
}

/* The child ends by itself, and another is made in its place: as Template._call_ended() does. False with an exception set. */
static bool end_call(LinkObject *self, PyObject *child, PyObject *ended_call)
{
    if (!is_ours(self) || !has_sent_all(self) || !try_lock(self->lock)) {
        PyObject *done = PyErr_Occurred() ? NULL : PyObject_CallOneArg(ended_call, child);
        Py_XDECREF(done);
        return done != NULL;
    }
    bool is_done = PyList_Append(self->ending, child) == 0;
    if (is_done && count_spares(self) < self->wanted)
        is_done = ask_for_spare(self);
    unlock(self->lock);
    return is_done;
}

/* The same. A template's link outlives it, and must not lead to it by a child. */
static bool go_on(LinkObject *self, PyObject *child)
{
    PyObject *ended_call = PyObject_GetAttrString(child, "_ended_call");
    bool is_done = ended_call != NULL && set(child, "_ended_call", Py_None) && end_call(self, child, ended_call);
    Py_XDECREF(ended_call);
    return is_done;
}

static PyObject *link_outcome(LinkObject *self, PyObject *child)
{
    if (!PyObject_TypeCheck(child, &Handle_Type))
        return PyErr_Format(PyExc_TypeError, "_plain_outcome(child)");
    if (!is_ours(self))
        return Py_NewRef(Py_NotImplemented);
    PyObject *channel = PyObject_GetAttrString(child, "_channel");
    PyObject *reading = channel == NULL ? NULL : PyObject_GetAttrString(child, "_reading");
    PyObject *value = reading == NULL ? NULL : take_outcome(self, child, channel, reading);
    Py_XDECREF(reading);
    Py_XDECREF(channel);
    if (value != NULL && !go_on(self, child))
        Py_CLEAR(value);
    return value == NULL && !PyErr_Occurred() ? Py_NewRef(Py_NotImplemented) : value;
}

/* ---- the type */

#define FOR_EACH_OBJECT(self, act) \
    do { \
        act(self->control); \
        act(self->lock); \
        act(self->asked); \
        act(self->waiting); \
        act(self->clone_type); \
        act(self->ending); \
        act(self->reader); \
        act(self->request); \
    } while (0)

static int link_traverse(LinkObject *self, visitproc visit, void *arg)
{
    FOR_EACH_OBJECT(self, Py_VISIT);
    return 0;
}

static int link_clear(LinkObject *self)
{
    self->is_plain = false;
    FOR_EACH_OBJECT(self, Py_CLEAR);
    return 0;
}

static void link_dealloc(LinkObject *self)
{
    PyObject_GC_UnTrack(self);
    link_clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *link_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs; /* the subclass's own */
    LinkObject *self = (LinkObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->asked = PyList_New(0);
    self->waiting = PyList_New(0);
    if (self->asked == NULL || self->waiting == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *link_allow_plain(LinkObject *self, PyObject *args)
{
    PyObject *control, *lock, *clone_type, *ending, *reader, *request;
    unsigned long long sent_before, taken_before;
    int wanted, is_doubted, is_confined, is_untrusted, in_namespace;
    if (!PyArg_ParseTuple(args, "O!OO!(KK)O!OO!i(pppp):_allow_plain", &Channel_Type, &control, &lock, &PyType_Type, &clone_type,
                          &sent_before, &taken_before, &PyList_Type, &ending, &reader, &PyBytes_Type, &request, &wanted, &is_doubted, &is_confined,
                          &is_untrusted, &in_namespace))
        return NULL;
    Py_XSETREF(self->control, (ChannelObject *)Py_NewRef(control));
    Py_XSETREF(self->lock, Py_NewRef(lock));
    Py_XSETREF(self->clone_type, Py_NewRef(clone_type));
    Py_XSETREF(self->ending, Py_NewRef(ending));
    Py_XSETREF(self->reader, Py_NewRef(reader));
    Py_XSETREF(self->request, Py_NewRef(request));
    self->sent_before = sent_before;
    self->taken_before = taken_before;
    self->maker = getpid();
    self->wanted = wanted;
    self->is_doubted = is_doubted != 0;
    self->is_confined = is_confined != 0;
    self->is_untrusted = is_untrusted != 0;
    self->in_namespace = in_namespace != 0;
    self->is_plain = true;
    Py_RETURN_NONE;
}

static PyObject *link_forbid_plain(LinkObject *self, PyObject *unused)
{
    (void)unused;
    self->is_plain = false;
    Py_RETURN_NONE;
}

static PyMemberDef link_members[] = {
    {"_asked", T_OBJECT, offsetof(LinkObject, asked), READONLY,
     "What was asked for and is not answered: (the number of the request, its token or None for a spare, the layer)."},
    {"_spares", T_OBJECT, offsetof(LinkObject, waiting), READONLY, "The clones that wait for a call."},
    {"_last_told", T_INT, offsetof(LinkObject, last_told), 0, "The pid of the clone that the template has told of last."},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef link_methods[] = {
    {"_allow_plain", (PyCFunction)link_allow_plain, METH_VARARGS,
     "_allow_plain($self, control, lock, clone_type, before, ending, reader, request, wanted, what, /)\n--\n\n"
     "From here on the two below do something. before: messages that were sent over the channel of control, and taken, before\n"
     "what is in _asked; ending: where children go whose call is over; reader: of such children; request: for a spare, of which\n"
     "so many are wanted; what: whether the template is doubted, confined, not trusted, and its clones have pid namespaces."},
    {"_forbid_plain", (PyCFunction)link_forbid_plain, METH_NOARGS, "_forbid_plain($self, /)\n--\n\nThey do nothing any more."},
    {"_receive", (PyCFunction)core_link_receive, METH_VARARGS,
     "_receive($self, control, clone, timeout, pidfd, /)\n--\n\n"
     "As Channel.receive_clone(), with what was asked for it, which is taken out of _asked at the same time. NotImplemented: what\n"
     "was waited for was taken meanwhile, by a handler of a signal."},
    {"_begin_plain", (PyCFunction)(void (*)(void))link_begin, METH_FASTCALL,
     "_begin_plain($self, child, call, ended_call, /)\n--\n\n"
     "Sends a call that was pickled to a spare that is there, which is the child's from here on. False: that was not to be had."},
    {"_plain_outcome", (PyCFunction)link_outcome, METH_O,
     "_plain_outcome($self, child, /)\n--\n\n"
     "Waits for what the child's function returns, and asks for another spare. NotImplemented: it is no plain value, and was not\n"
     "taken."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject PlainLink_Type = {
    CORE_TYPE("PlainLink", LinkObject, Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC),
    .tp_doc = "What a template's link needs for plain calls on spares; the base of ramet._workers.template.link.Link.",
    .tp_new = link_new,
    .tp_dealloc = (destructor)link_dealloc,
    .tp_traverse = (traverseproc)link_traverse,
    .tp_clear = (inquiry)link_clear,
    .tp_members = link_members,
    .tp_methods = link_methods,
};
