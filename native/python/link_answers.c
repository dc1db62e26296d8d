/* How a template's link receives the answers to what its caller has asked, one after another, each with what it answers. */
#include "link_answers.h"

#include "clone_owner.h"

#include "futex.h"

#define SECONDS_OF_A_LOOK 0.05

/* A handler of a signal that asks the template as well takes the answer for which its own thread waits here; nothing tells of it. */
static enum core_arrival await_answer(ChannelObject *control, PyObject *seconds, int pidfd, bool *was_taken)
{
    unsigned long long before = control->taken;
    int64_t deadline = core_deadline(seconds);
    PyObject *one_look = deadline == -2 ? NULL : PyFloat_FromDouble(SECONDS_OF_A_LOOK);
    enum core_arrival arrival = CORE_FAILED;
    bool goes_on = one_look != NULL;
    while (goes_on) {
        arrival = core_channel_await(control, one_look, pidfd);
        *was_taken = arrival != CORE_FAILED && control->taken != before;
        goes_on = arrival == CORE_TIME_IS_UP && !*was_taken && (deadline < 0 || ramet_now() < deadline);
    }
    Py_XDECREF(one_look);
    return arrival;
}

/* Both or neither: whatever a handler does after this, the answer is no longer among those that are to come. */
static PyObject *answer_and_asked(LinkObject *self, ChannelObject *control, CloneOwnerObject *clone)
{
    PyObject *asked = core_link_take_first(self->asked);
    if (asked == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "expected no message, since nothing was asked");
        return NULL;
    }
    int taken = core_channel_take_clone(control, clone);
    PyObject *answer = taken < 0 ? NULL : taken > 0 ? Py_NewRef(Py_True) : core_channel_take(control);
    if (answer == NULL)
        Py_CLEAR(asked);
    return answer == NULL ? NULL : Py_BuildValue("NN", answer, asked);
}

PyObject *core_link_receive(LinkObject *self, PyObject *args)
{
    ChannelObject *control;
    CloneOwnerObject *clone;
    PyObject *seconds;
    int pidfd;
    if (!PyArg_ParseTuple(args, "O!O!Oi:_receive", &Channel_Type, &control, &CloneOwner_Type, &clone, &seconds, &pidfd))
        return NULL;
    bool was_taken = false;
    enum core_arrival arrival = await_answer(control, seconds, pidfd, &was_taken);
    if (was_taken)
        return Py_BuildValue("OO", Py_NotImplemented, Py_None);
    switch (arrival) {
    case CORE_ARRIVED:
        return answer_and_asked(self, control, clone);
    case CORE_NO_MORE:
        return Py_BuildValue("OO", Py_None, Py_None);
    case CORE_TIME_IS_UP:
        return Py_BuildValue("OO", Py_False, Py_None);
    default:
        return NULL;
    }
}
