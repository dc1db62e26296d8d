/* How a Channel sends its messages. */
#define _GNU_SOURCE
#include "channel_parts.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "plain_values.h"

#define MOST_SENT_PARTS 2 /* of send_parts() */
#define NO_DEADLINE (-1)

static void lay_descriptors(struct msghdr *header, char *control, const int *descriptors, size_t count)
{
    if (count == 0)
        return;
    header->msg_control = control;
    header->msg_controllen = CMSG_SPACE(count * sizeof *descriptors);
    struct cmsghdr *carried = CMSG_FIRSTHDR(header);
    carried->cmsg_level = SOL_SOCKET;
    carried->cmsg_type = SCM_RIGHTS;
    carried->cmsg_len = CMSG_LEN(count * sizeof *descriptors);
    memcpy(CMSG_DATA(carried), descriptors, count * sizeof *descriptors);
}

/* Waits until there is room in the socket. False with an exception set: TimeoutError, when the time is up. */
static bool await_room(int descriptor, int64_t deadline)
{
    struct pollfd room = {.fd = descriptor, .events = POLLOUT};
    int is_there = core_poll_all_until(&room, 1, deadline);
    if (is_there == 0)
        PyErr_SetString(PyExc_TimeoutError, "the other side does not read what is sent to it");
    return is_there > 0;
}

/*
 * 0, or -1 with an exception set. The interpreter lock is let go only when it has to wait. Meanwhile another thread, or
 * a handler of a signal, may close the channel, and its number may be another file's. deadline: NO_DEADLINE for none.
 */
static int send_all(ChannelObject *self, char *data, size_t length, const int *descriptors, size_t count, int64_t deadline)
{
    char control[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    struct iovec piece = {data, length};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    int how = MSG_DONTWAIT;
    lay_descriptors(&header, control, descriptors, count);
    while (piece.iov_len > 0) {
        const int descriptor = self->descriptor;
        ssize_t sent;
        if (!core_channel_is_open(self))
            return -1;
        if (how & MSG_DONTWAIT) {
            sent = sendmsg(descriptor, &header, MSG_NOSIGNAL | how);
        } else {
            Py_BEGIN_ALLOW_THREADS
            sent = sendmsg(descriptor, &header, MSG_NOSIGNAL);
            Py_END_ALLOW_THREADS
        }
        if (sent >= 0) {
            header.msg_control = NULL;
            header.msg_controllen = 0;
            piece.iov_base = (char *)piece.iov_base + sent;
            piece.iov_len -= (size_t)sent;
        } else if (errno == EAGAIN && deadline >= 0) {
            if (!await_room(descriptor, deadline))
                return -1;
        } else if (errno == EAGAIN && how & MSG_DONTWAIT) {
            how = 0;
        } else if (errno != EINTR) {
            const int error = errno;
            PyErr_SetFromErrno(PyExc_OSError);
            errno = error;
            return -1;
        } else if (PyErr_CheckSignals() < 0)
            return -1;
    }
    self->sent++;
    return 0;
}

/* The numbers of a tuple; -1 with an exception set. */
static Py_ssize_t numbers_of(PyObject *tuple, int *numbers)
{
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (count > MOST_DESCRIPTORS) {
        PyErr_Format(PyExc_ValueError, "invalid descriptors: expected at most %d, got %zd", MOST_DESCRIPTORS, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        numbers[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(tuple, i));
        if (numbers[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return count;
}

static Py_ssize_t length_of(PyObject *part)
{
    Py_buffer view;
    if (PyBytes_Check(part))
        return PyBytes_GET_SIZE(part);
    if (PyObject_GetBuffer(part, &view, PyBUF_SIMPLE) < 0)
        return -1;
    PyBuffer_Release(&view);
    return view.len;
}

/* Of all parts; -1 with an exception set. */
static Py_ssize_t length_of_all(PyObject *parts)
{
    Py_ssize_t sum = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts); i++) {
        Py_ssize_t length = length_of(PyTuple_GET_ITEM(parts, i));
        if (length < 0)
            return -1;
        sum += length;
    }
    return sum;
}

/* Head, lengths and, where they do not lie in a memfd, the parts. False with an exception set. */
static bool lay_message(char *data, struct core_message_head head, PyObject *parts)
{
    char *lengths = data + sizeof head, *next = lengths + head.parts * sizeof(uint64_t);
    memcpy(data, &head, sizeof head);
    for (uint32_t i = 0; i < head.parts; i++) {
        Py_buffer view;
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(parts, i), &view, PyBUF_SIMPLE) < 0)
            return false;
        uint64_t bytes = (uint64_t)view.len;
        memcpy(lengths + i * sizeof bytes, &bytes, sizeof bytes);
        if (!head.in_memfd) {
            memcpy(next, view.buf, bytes);
            next += bytes;
        }
        PyBuffer_Release(&view);
    }
    return true;
}

/* 1; 0: it is too long. -1 with an exception set. head: without in_memfd the parts are sent as well. */
static int send_message(ChannelObject *self, struct core_message_head head, PyObject *parts, const int *descriptors, int64_t deadline)
{
    Py_ssize_t bytes = head.in_memfd ? 0 : length_of_all(parts);
    if (bytes < 0 || (size_t)bytes > INLINE_BYTES)
        return bytes < 0 ? -1 : 0;
    size_t length = sizeof head + head.parts * sizeof(uint64_t) + (size_t)bytes;
    char *data = PyMem_Malloc(length);
    if (data == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    bool sent = lay_message(data, head, parts) && send_all(self, data, length, descriptors, head.descriptors, deadline) == 0;
    PyMem_Free(data);
    return sent ? 1 : -1;
}

int core_channel_send_inline(ChannelObject *self, uint8_t kind, PyObject *parts)
{
    const struct core_message_head head = {.kind = kind, .parts = (uint32_t)PyTuple_GET_SIZE(parts)};
    return core_channel_is_open(self) ? send_message(self, head, parts, NULL, NO_DEADLINE) : -1;
}

PyObject *core_channel_send(ChannelObject *self, PyObject *args)
{
    int numbers[MOST_DESCRIPTORS], kind, in_memfd = 0;
    PyObject *parts, *descriptors = NULL, *seconds = Py_None;
    if (!PyArg_ParseTuple(args, "iO!|O!pO:send", &kind, &PyTuple_Type, &parts, &PyTuple_Type, &descriptors, &in_memfd, &seconds) ||
        !core_channel_is_open(self))
        return NULL;
    int64_t deadline = core_deadline(seconds);
    if (deadline == -2)
        return NULL;
    Py_ssize_t count = descriptors == NULL ? 0 : numbers_of(descriptors, numbers);
    if (count < 0)
        return NULL;
    const struct core_message_head head = {(uint8_t)kind, in_memfd != 0, (uint16_t)count, (uint32_t)PyTuple_GET_SIZE(parts)};
    int sent = send_message(self, head, parts, numbers, deadline);
    return sent < 0 ? NULL : PyBool_FromLong(sent);
}

/* It needs no memory. */
static bool send_parts(ChannelObject *self, struct core_message_head head, const struct core_part *parts, const int *descriptors, int64_t deadline)
{
    char data[sizeof head + MOST_SENT_PARTS * sizeof(uint64_t) + CORE_MOST_PLAIN_BYTES];
    char *lengths = data + sizeof head, *next = lengths + head.parts * sizeof(uint64_t);
    memcpy(data, &head, sizeof head);
    for (uint32_t i = 0; i < head.parts; i++) {
        memcpy(lengths + i * sizeof(uint64_t), &(uint64_t){parts[i].length}, sizeof(uint64_t));
        memcpy(next, parts[i].bytes, parts[i].length);
        next += parts[i].length;
    }
    return send_all(self, data, (size_t)(next - data), descriptors, head.descriptors, deadline) == 0;
}

bool core_channel_send_parts(ChannelObject *self, uint8_t kind, const struct core_part *parts, uint32_t count, int64_t deadline)
{
    return send_parts(self, (struct core_message_head){.kind = kind, .parts = count}, parts, NULL, deadline);
}

bool core_channel_send_part(ChannelObject *self, uint8_t kind, const void *part, size_t length, const int *descriptors, int count)
{
    const struct core_message_head head = {.kind = kind, .descriptors = (uint16_t)count, .parts = 1};
    return send_parts(self, head, &(struct core_part){part, length}, descriptors, NO_DEADLINE);
}

/* What an outcome is most often. */
int core_channel_send_plain(ChannelObject *self, uint8_t kind, PyObject *value)
{
    char part[CORE_MOST_PLAIN_BYTES];
    Py_ssize_t length = core_plain_write(value, part, sizeof part);
    if (length < 0)
        return 0;
    return core_channel_send_part(self, kind, part, (size_t)length, NULL, 0) ? 1 : -1;
}

PyObject *core_channel_send_value(ChannelObject *self, PyObject *args)
{
    uint8_t kind;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "bO:send_plain", &kind, &value) || !core_channel_is_open(self))
        return NULL;
    int sent = core_channel_send_plain(self, kind, value);
    return sent < 0 ? NULL : PyBool_FromLong(sent);
}
