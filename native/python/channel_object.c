/*
 * ramet._core.Channel: messages over a stream socket that this object owns. src/ramet/_workers/crossing/messages.py says what a
 * message is, and has what is less common: parts in a memfd. How they are sent and received is in channel_sending.c and
 * channel_receiving.c.
 */
#define _GNU_SOURCE
#include "channel_parts.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "close_aside.h"
#include "own_table.h"

bool core_move_above_standard(int *descriptor)
{
    int higher = *descriptor > STDERR_FILENO ? -1 : fcntl(*descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (higher < 0)
        return false;
    *descriptor = higher;
    return true;
}

static bool has_unread(int descriptor)
{
    int bytes;
    return ioctl(descriptor, FIONREAD, &bytes) == 0 && bytes > 0;
}

bool core_channel_is_open(const ChannelObject *self)
{
    if (self->descriptor < 0)
        PyErr_SetString(PyExc_ValueError, "invalid channel: it has been closed");
    return self->descriptor >= 0;
}

ChannelObject *core_channel_new(int descriptor)
{
    ChannelObject *self = (ChannelObject *)Channel_Type.tp_alloc(&Channel_Type, 0);
    if (self != NULL) {
        self->descriptor = descriptor;
        self->most_descriptors = MOST_DESCRIPTORS;
    }
    return self;
}

static PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int descriptor;
    (void)type; /* it has no subclasses */
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return PyErr_Format(PyExc_TypeError, "Channel() takes no keyword arguments");
    if (!PyArg_ParseTuple(args, "i:Channel", &descriptor))
        return NULL;
    return (PyObject *)core_channel_new(descriptor);
}

/*
 * What is sent with MSG_OOB comes as all else: else it would be dropped by a receive, with its descriptors, and who receives
 * would wait for their close(). Source: net/unix/af_unix.c, manage_oob(), Linux 5.15.
 */
static void keep_urgent_in_line(int descriptor)
{
    const int yes = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes);
}

int core_socket_pair(int *ends)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        int former = ends[i];
        if (core_move_above_standard(&ends[i]))
            close(former);
        keep_urgent_in_line(ends[i]);
    }
    return 0;
}

PyObject *core_channels(PyObject *module, PyObject *unused)
{
    int ends[2];
    (void)module, (void)unused;
    if (core_socket_pair(ends) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    ChannelObject *pair[2];
    for (int i = 0; i < 2; i++) {
        pair[i] = core_channel_new(ends[i]);
        if (pair[i] == NULL)
            close(ends[i]);
    }
    if (pair[0] != NULL && pair[1] != NULL)
        return Py_BuildValue("NN", pair[0], pair[1]);
    Py_XDECREF(pair[0]);
    Py_XDECREF(pair[1]);
    return NULL;
}

/* What still lies in it may be files that wait for each other. */
static void close_unread(int descriptor)
{
    if (ramet_close_unread(descriptor) != 0)
        core_close_all_aside(&descriptor, 1);
}

/* may_wait: this process closes it itself, and at once: for a template, whose next clone would have it, and a thread with it. */
static void close_all(ChannelObject *self, bool may_wait)
{
    const int descriptor = self->descriptor;
    self->descriptor = NO_DESCRIPTOR;
    if (descriptor >= 0 && !may_wait && has_unread(descriptor))
        close_unread(descriptor);
    else if (descriptor >= 0)
        close(descriptor);
    core_close_all_aside(self->received, (size_t)self->count);
    self->count = 0;
    PyMem_Free(self->received);
    self->received = NULL;
    self->length = 0;
}

static void channel_dealloc(ChannelObject *self)
{
    close_all(self, false);
    PyMem_Free(self->data);
    Py_TYPE(self)->tp_free(self);
}

/* ---- its end */

/*
 * In the child, which has sent its last outcome: its end would take the processor from a caller on the same one, who reads
 * it. So this task waits a moment, and lets others go first: sched(7) SCHED_BATCH.
 */
void core_channel_await_end(ChannelObject *self, int milliseconds)
{
    const struct sched_param none = {0};
    struct pollfd end = {.fd = self->descriptor, .events = POLLRDHUP};
    if (sched_getscheduler(0) == SCHED_OTHER)
        sched_setscheduler(0, SCHED_BATCH, &none);
    Py_BEGIN_ALLOW_THREADS
    poll(&end, 1, milliseconds);
    Py_END_ALLOW_THREADS
}

static PyObject *channel_await_end(ChannelObject *self, PyObject *milliseconds)
{
    long patience = PyLong_AsLong(milliseconds);
    if ((patience == -1 && PyErr_Occurred()) || !core_channel_is_open(self))
        return NULL;
    core_channel_await_end(self, (int)patience);
    Py_RETURN_NONE;
}

static PyObject *channel_end(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    if (self->descriptor >= 0)
        shutdown(self->descriptor, SHUT_RDWR); /* a close is not seen while a fork of this process has it */
    close_all(self, false);
    Py_RETURN_NONE;
}

static PyObject *channel_close(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    close_all(self, true);
    Py_RETURN_NONE;
}

static PyObject *channel_end_sending(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    if (self->descriptor >= 0)
        shutdown(self->descriptor, SHUT_WR);
    Py_RETURN_NONE;
}

void core_channel_distrust(ChannelObject *self)
{
    self->distrusted = true;
    if (self->descriptor >= 0)
        keep_urgent_in_line(self->descriptor);
}

static PyObject *channel_distrust(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    core_channel_distrust(self);
    Py_RETURN_NONE;
}

/* It goes on with another descriptor of the same socket, and closes the one that it had. */
static PyObject *channel_move_to(ChannelObject *self, PyObject *number)
{
    const long descriptor = PyLong_AsLong(number);
    if ((descriptor == -1 && PyErr_Occurred()) || !core_channel_is_open(self))
        return NULL;
    close(self->descriptor);
    self->descriptor = (int)descriptor;
    Py_RETURN_NONE;
}

static PyObject *channel_fileno(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    return core_channel_is_open(self) ? PyLong_FromLong(self->descriptor) : NULL;
}

/* In one step: another thread may close it, and the number be another file's. */
static PyObject *channel_copied(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    if (self->descriptor < 0)
        Py_RETURN_NONE;
    long copy = ramet_syscall3(__NR_fcntl, self->descriptor, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? core_raise_errno(copy) : PyLong_FromLong(copy);
}

/* ---- the type */

static PyObject *channel_closed(ChannelObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->descriptor < 0);
}

static PyObject *channel_sent(ChannelObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->sent);
}

static PyObject *channel_taken(ChannelObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->taken);
}

static PyObject *channel_left_unread(ChannelObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->left_unread);
}

static PyGetSetDef channel_properties[] = {
    {"sent", (getter)channel_sent, NULL, "How many messages were sent, also where a handler of a signal raised right after.", NULL},
    {"taken", (getter)channel_taken, NULL, "How many messages receive() took, also where a handler of a signal raised right after.", NULL},
    {"closed", (getter)channel_closed, NULL, "Whether it has been closed.", NULL},
    {"left_unread", (getter)channel_left_unread, NULL, "Whether the other side has ended before it had read all, as receive() saw.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef channel_methods[] = {
    {"send", (PyCFunction)core_channel_send, METH_VARARGS,
     "send($self, kind, parts, descriptors=(), in_memfd=False, seconds=None, /)\n--\n\n"
     "Sends a message. in_memfd: the parts lie in a memfd, the first descriptor, and only their lengths are sent.\n"
     "Returns False for more than can be sent without one: nothing was sent. Raises TimeoutError when the other side has not\n"
     "made room for it in so many seconds, and has got a part of it or nothing."},
    {"send_plain", (PyCFunction)core_channel_send_value, METH_VARARGS,
     "send_plain($self, kind, value, /)\n--\n\nSends a plain value, see plain_value(). Returns False for any other."},
    {"receive", (PyCFunction)core_channel_receive, METH_VARARGS,
     "receive($self, timeout, pidfd=-1, /)\n--\n\n"
     "The next message as (kind, parts, descriptors, in_memfd), None at the end, of the task of a pidfd as well; False when the\n"
     "time is up. What has arrived of a message is kept. in_memfd: the parts are lengths, and the first descriptor is the memfd."},
    {"serve_plain", (PyCFunction)core_channel_serve_plain, METH_VARARGS,
     "serve_plain($self, before, after, finish, /)\n--\n\n"
     "In a child: serves calls, each between before() and after(), and returns (served, one, last) for the first that needs more:\n"
     "(ANOTHER, its message as of receive(), None), (RETURNED, a value that is not plain, last), (RAISED, an exception, last).\n"
     "(ALONE, None, True) after a call that was the last, and (ENDED, None, None) at the other side's end. finish(): after the last\n"
     "function, if multiprocessing's trackers were imported."},
    {"serve_clones", (PyCFunction)core_channel_serve_clones, METH_VARARGS,
     "serve_clones($self, known, run, /)\n--\n\n"
     "In a template: makes the clones that are asked for by known requests, each of which does its first steps and calls\n"
     "run((given, channel, in_namespace)). known: a list of (the request's part, a Request, whether in a pid namespace of its own,\n"
     "a Plan of first steps, given).\n"
     "Returns (message, init) for the first other request, or for one that could not be met: its message as of receive(), and the pid\n"
     "and pidfd of the init of a namespace that was made for it, or None. None at the other side's end."},
    {"receive_clone", (PyCFunction)core_channel_receive_clone, METH_VARARGS,
     "receive_clone($self, clone, timeout, pidfd, /)\n--\n\n"
     "The next message, as receive() gives it; if it is of a clone, clone, a CloneOwner, owns that from here on, and this returns\n"
     "True. None at the end, of the task of the pidfd as well; False when the time is up.\n\n"
     "clone.is_confined: the pids are those of another namespace. Where the kernel tells those of this one, they are set in their\n"
     "place, if they are of children of this process: then has_own_numbers is True, and is_doubted False. Needs: Linux 6.13."},
    {"await_end", (PyCFunction)channel_await_end, METH_O,
     "await_end($self, milliseconds, /)\n--\n\nIn a child that is about to end: waits for the other side's end, and becomes SCHED_BATCH."},
    {"end", (PyCFunction)channel_end, METH_NOARGS,
     "end($self, /)\n--\n\nThe other side sees the end, whoever else has this socket; then closes it, if need be by a thread: a close() waits\n"
     "for files that the other side has sent and nobody has taken."},
    {"move_to", (PyCFunction)channel_move_to, METH_O,
     "move_to($self, descriptor, /)\n--\n\nGoes on with another descriptor of the same socket, which it owns, and closes its own."},
    {"distrust", (PyCFunction)channel_distrust, METH_NOARGS,
     "distrust($self, /)\n--\n\n"
     "From here on receive() waits for no close() of what the other side has sent, and of a message nothing is received that has\n"
     "descriptors of other files than sealed memfds, ValueError, or for which there is no room, OSError EMFILE. What it has is looked\n"
     "at by a thread, in a table of descriptors of its own; OSError where there can be none."},
    {"end_sending", (PyCFunction)channel_end_sending, METH_NOARGS,
     "end_sending($self, /)\n--\n\nThe other side sees the end; its answers still come."},
    {"close", (PyCFunction)channel_close, METH_NOARGS,
     "close($self, /)\n--\n\nCloses the socket, at once, and the descriptors that were not taken."},
    {"copied", (PyCFunction)channel_copied, METH_NOARGS,
     "copied($self, /)\n--\n\nA copy of the socket's descriptor, the caller's to close; None once it has been closed."},
    {"fileno", (PyCFunction)channel_fileno, METH_NOARGS, "fileno($self, /)\n--\n\nThe socket's descriptor."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Channel_Type = {
    CORE_TYPE("Channel", ChannelObject, 0),
    .tp_doc = "Channel(descriptor, /)\n--\n\nMessages over a stream socket, which it closes. All its numbers are those of one machine.",
    .tp_new = channel_new,
    .tp_dealloc = (destructor)channel_dealloc,
    .tp_getset = channel_properties,
    .tp_methods = channel_methods,
};
