/* How a Channel receives its messages, also from who is not trusted. */
#define _GNU_SOURCE
#include "channel_parts.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "close_aside.h"
#include "own_table.h"

#define MOST_PARTS (1 << 20)
#define FIRST_READ 4096
#define MOST_AT_ONCE ((size_t)1 << 17) /* so that a head alone costs its reader no more memory, whatever it speaks of */

static bool make_room(ChannelObject *self, size_t wanted)
{
    if (self->length + wanted <= self->room)
        return true;
    char *data = PyMem_Realloc(self->data, self->length + wanted);
    if (data == NULL) {
        PyErr_NoMemory();
        return false;
    }
    self->data = data;
    self->room = self->length + wanted;
    return true;
}

/* How many of them there was room for. */
static size_t keep_some(ChannelObject *self, const int *descriptors, size_t count)
{
    if (self->received == NULL)
        self->received = PyMem_New(int, 2 * self->most_descriptors);
    size_t room = self->received == NULL ? 0 : (size_t)(2 * self->most_descriptors - self->count);
    size_t kept = count < room ? count : room;
    memcpy(self->received + self->count, descriptors, kept * sizeof *descriptors);
    self->count += (int)kept;
    return kept;
}

static void keep_descriptors(ChannelObject *self, struct msghdr *header)
{
    for (struct cmsghdr *carried = CMSG_FIRSTHDR(header); carried != NULL; carried = CMSG_NXTHDR(header, carried)) {
        if (carried->cmsg_level != SOL_SOCKET || carried->cmsg_type != SCM_RIGHTS)
            continue;
        int descriptors[MOST_DESCRIPTORS];
        size_t count = (carried->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(carried), count * sizeof *descriptors);
        for (size_t i = 0; i < count; i++) {
            int former = descriptors[i];
            if (core_move_above_standard(&descriptors[i]))
                core_close_all_aside(&former, 1);
        }
        size_t kept = keep_some(self, descriptors, count);
        if (kept < count)
            self->refused = CORE_FLOODED;
        core_close_all_aside(descriptors + kept, count - kept);
    }
    self->lost |= (header->msg_flags & MSG_CTRUNC) != 0;
}

static void close_seen(struct msghdr *header)
{
    for (struct cmsghdr *carried = CMSG_FIRSTHDR(header); carried != NULL; carried = CMSG_NXTHDR(header, carried)) {
        const int *descriptors = (const int *)(const void *)CMSG_DATA(carried);
        for (size_t i = 0; i < (carried->cmsg_len - CMSG_LEN(0)) / sizeof *descriptors; i++)
            close(descriptors[i]);
    }
}

/* What was seen of so many bytes; nobody else reads. */
static ssize_t receive_seen(ChannelObject *self, ssize_t got)
{
    struct iovec piece = {self->data + self->length, (size_t)got};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    if (recvmsg(self->descriptor, &header, MSG_DONTWAIT) != got)
        self->refused = CORE_FLOODED;
    self->length += (size_t)got;
    return got;
}

/*
 * The same with sealed memfds, and no others. Where there is no room for all of them the kernel would close some: so they, too,
 * are taken while they stay in the socket, and -EMFILE leaves them there.
 */
static ssize_t receive_memory(ChannelObject *self, ssize_t got)
{
    char control[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    struct iovec piece = {self->data + self->length, (size_t)got};
    struct msghdr seen = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN((size_t)self->most_descriptors * sizeof(int))};
    ssize_t again = recvmsg(self->descriptor, &seen, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (again < 0)
        return -errno;
    if (again != got || seen.msg_flags & MSG_CTRUNC) {
        close_seen(&seen);
        return -EMFILE;
    }
    keep_descriptors(self, &seen);
    return receive_seen(self, got);
}

/* An answer of ramet_look_at_descriptors(), for which the interpreter lock is let go: it takes a thread. */
static int look_aside(ChannelObject *self, size_t length)
{
    const int descriptor = self->descriptor;
    int answer;
    char *data = PyMem_Malloc(length); /* while another thread runs, this channel's may move */
    if (data == NULL)
        return -ENOMEM;
    Py_BEGIN_ALLOW_THREADS
    answer = ramet_look_at_descriptors(descriptor, data, length, (size_t)self->most_descriptors);
    Py_END_ALLOW_THREADS
    PyMem_Free(data);
    return answer;
}

/* Where descriptors were seen in the next bytes. */
static ssize_t receive_others(ChannelObject *self, ssize_t got)
{
    const int descriptor = self->descriptor, answer = look_aside(self, (size_t)got);
    if (self->descriptor != descriptor || answer == RAMET_NOT_THERE)
        return -EAGAIN; /* another thread has closed it */
    if (answer == RAMET_SEALED_MEMORY)
        return receive_memory(self, got);
    if (answer == RAMET_NO_ROOM)
        return -EMFILE;
    self->refused = answer == RAMET_TOO_MANY ? CORE_FLOODED : answer == RAMET_OTHER_FILES ? CORE_FOREIGN : CORE_NOT_SEEN;
    self->why_not_seen = -answer;
    return -EBADMSG;
}

/*
 * The same from who may have sent descriptors whose close() waits for him, or takes away locks that this process has on the
 * same file. So it is looked, without a buffer for them, whether there are any: what is seen stays in the socket. If so, another
 * thread looks at them in a table of its own, and only sealed memfds ever come into this process's; of others nothing is received.
 */
static ssize_t receive_with_care(ChannelObject *self, size_t wanted)
{
    struct iovec piece = {self->data + self->length, wanted};
    struct msghdr seen = {.msg_iov = &piece, .msg_iovlen = 1};
    ssize_t got = recvmsg(self->descriptor, &seen, MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    return seen.msg_flags & MSG_CTRUNC ? receive_others(self, got) : receive_seen(self, got);
}

/* One recvmsg(2): what came, 0 at the end, -errno. */
static ssize_t receive_some(ChannelObject *self, size_t wanted, int how)
{
    char control[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    struct iovec piece = {self->data + self->length, wanted};
    /* There is room for all that can be sent: what has none is closed by the kernel, and this call waits for that. */
    struct msghdr header = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN(MOST_DESCRIPTORS * sizeof(int))};
    ssize_t got = recvmsg(self->descriptor, &header, MSG_CMSG_CLOEXEC | how);
    if (got < 0)
        return -errno;
    keep_descriptors(self, &header);
    self->length += (size_t)got;
    return got;
}

/* How many bytes the message has beyond those that have arrived; 0: none. Sets an exception for what is no message. */
static size_t lacking(const ChannelObject *self)
{
    struct core_message_head head;
    if (self->length < sizeof head)
        return sizeof head - self->length;
    memcpy(&head, self->data, sizeof head);
    size_t end = sizeof head + head.parts * sizeof(uint64_t);
    if (head.parts > MOST_PARTS || head.in_memfd > 1 || head.in_memfd > head.descriptors ||
        head.descriptors > self->most_descriptors) {
        PyErr_Format(PyExc_ValueError, "invalid message: expected a head, got %u parts and %u descriptors", head.parts,
                     head.descriptors);
        return 0;
    }
    if (self->length < end)
        return end - self->length;
    size_t parts = 0;
    for (uint32_t i = 0; i < head.parts && !head.in_memfd; i++) {
        uint64_t bytes;
        memcpy(&bytes, self->data + sizeof head + i * sizeof bytes, sizeof bytes);
        if (bytes > INLINE_BYTES - parts) {
            PyErr_Format(PyExc_ValueError, "invalid message: expected at most %zu bytes beside the head", INLINE_BYTES);
            return 0;
        }
        parts += bytes;
    }
    return self->length < end + parts ? end + parts - self->length : 0;
}

void core_channel_take_descriptors(ChannelObject *self, int *descriptors, int count)
{
    memcpy(descriptors, self->received, (size_t)count * sizeof *descriptors);
    self->count -= count;
    memmove(self->received, self->received + count, (size_t)self->count * sizeof *self->received);
}

static PyObject *descriptors_of(ChannelObject *self, int count)
{
    int descriptors[MOST_DESCRIPTORS];
    PyObject *taken = PyTuple_New(count);
    for (int i = 0; taken != NULL && i < count; i++) {
        PyObject *number = PyLong_FromLong(self->received[i]);
        if (number == NULL)
            Py_CLEAR(taken);
        else
            PyTuple_SET_ITEM(taken, i, number);
    }
    if (taken != NULL && count > 0)
        core_channel_take_descriptors(self, descriptors, count);
    return taken;
}

/* The parts, or their lengths where they lie in a memfd. */
static PyObject *parts_of(const ChannelObject *self, struct core_message_head head, size_t *end)
{
    PyObject *parts = PyTuple_New((Py_ssize_t)head.parts);
    *end = sizeof head + head.parts * sizeof(uint64_t);
    for (uint32_t i = 0; parts != NULL && i < head.parts; i++) {
        uint64_t bytes;
        memcpy(&bytes, self->data + sizeof head + i * sizeof bytes, sizeof bytes);
        PyObject *part = head.in_memfd ? PyLong_FromUnsignedLongLong(bytes)
                                       : PyByteArray_FromStringAndSize(self->data + *end, (Py_ssize_t)bytes);
        *end += head.in_memfd ? 0 : bytes;
        if (part == NULL)
            Py_CLEAR(parts);
        else
            PyTuple_SET_ITEM(parts, i, part);
    }
    return parts;
}

/* What came with a message of which some were lost; one recvmsg(2) brings those of one message. */
static void close_received(ChannelObject *self)
{
    core_close_all_aside(self->received, (size_t)self->count);
    self->count = 0;
    self->lost = false;
}

void core_channel_drop(ChannelObject *self, size_t bytes)
{
    self->taken++;
    self->length -= bytes;
    memmove(self->data, self->data + bytes, self->length);
}

/* All of a message has arrived. None in place of its descriptors: some of them had no room in the table. */
PyObject *core_channel_take(ChannelObject *self)
{
    struct core_message_head head;
    size_t end;
    memcpy(&head, self->data, sizeof head);
    bool lost = head.descriptors > 0 && (self->lost || self->count < head.descriptors);
    if (lost)
        close_received(self);
    PyObject *parts = parts_of(self, head, &end);
    PyObject *descriptors = parts == NULL ? NULL : lost ? Py_NewRef(Py_None) : descriptors_of(self, head.descriptors);
    if (descriptors == NULL) {
        Py_XDECREF(parts);
        return NULL;
    }
    core_channel_drop(self, end);
    return Py_BuildValue("iNNO", head.kind, parts, descriptors, head.in_memfd ? Py_True : Py_False);
}

bool core_is_readable(int descriptor)
{
    struct pollfd one = {.fd = descriptor, .events = POLLIN};
    return poll(&one, 1, 0) > 0;
}

bool core_has_ended(int pidfd)
{
    return pidfd >= 0 && core_is_readable(pidfd);
}

/* What is needed of the message next; 0: it is there. False with an exception set. */
static bool make_room_for_rest(ChannelObject *self, size_t *wanted)
{
    *wanted = lacking(self);
    if (PyErr_Occurred() || *wanted == 0)
        return !PyErr_Occurred();
    *wanted = *wanted < FIRST_READ ? FIRST_READ : *wanted < MOST_AT_ONCE ? *wanted : MOST_AT_ONCE;
    return make_room(self, *wanted);
}

static ssize_t receive_now(ChannelObject *self, size_t wanted)
{
    return self->distrusted ? receive_with_care(self, wanted) : receive_some(self, wanted, MSG_DONTWAIT);
}

bool core_channel_has_message(ChannelObject *self)
{
    size_t wanted = 0;
    while (self->descriptor >= 0 && self->refused == CORE_NOT_REFUSED && make_room_for_rest(self, &wanted)) {
        if (wanted == 0)
            return true;
        if (receive_now(self, wanted) <= 0)
            return false;
    }
    PyErr_Clear();
    return false;
}

static enum core_arrival refuse(const ChannelObject *self)
{
    if (self->refused == CORE_FLOODED)
        PyErr_Format(PyExc_ValueError, "invalid message: expected at most %d descriptors", self->most_descriptors);
    else if (self->refused == CORE_FOREIGN)
        PyErr_SetString(PyExc_ValueError, "invalid message: expected descriptors of sealed memfds, got one of another file");
    else
        PyErr_Format(PyExc_OSError, "no thread could look at the descriptors of a message: %s", strerror(self->why_not_seen));
    return CORE_FAILED;
}

enum core_arrival core_channel_await(ChannelObject *self, PyObject *seconds, int pidfd)
{
    int64_t deadline = core_deadline(seconds); /* of the whole message: it may come in pieces */
    bool waited = false, ended = false;
    while (deadline != -2 && core_channel_is_open(self)) { /* another thread may have closed it */
        size_t wanted;
        if (self->refused)
            return refuse(self);
        if (!make_room_for_rest(self, &wanted))
            return CORE_FAILED;
        if (wanted == 0)
            return CORE_ARRIVED;
        ssize_t got = receive_now(self, wanted);
        if (got == -EAGAIN) {
            if (ended)
                return CORE_NO_MORE;
            ended = waited && core_has_ended(pidfd); /* if so, what it had sent by then is read below */
            int readable = ended ? 1 : core_poll_until(self->descriptor, pidfd, deadline);
            if (readable <= 0)
                return readable < 0 ? CORE_FAILED : CORE_TIME_IS_UP;
            waited = true;
        } else if (got == -EINTR) {
            if (PyErr_CheckSignals() < 0)
                return CORE_FAILED;
        } else if (self->refused) {
            return refuse(self);
        } else if (got == 0 || got == -ECONNRESET) {
            self->left_unread |= got < 0; /* told once: unix_release_sock(), net/unix/af_unix.c */
            return CORE_NO_MORE;
        } else if (got < 0) {
            core_raise_errno(got);
            return CORE_FAILED;
        }
    }
    return CORE_FAILED;
}

PyObject *core_channel_receive(ChannelObject *self, PyObject *args)
{
    PyObject *seconds;
    int pidfd = NO_DESCRIPTOR;
    if (!PyArg_ParseTuple(args, "O|i:receive", &seconds, &pidfd))
        return NULL;
    switch (core_channel_await(self, seconds, pidfd)) {
    case CORE_ARRIVED:
        return core_channel_take(self);
    case CORE_NO_MORE:
        Py_RETURN_NONE;
    case CORE_TIME_IS_UP:
        Py_RETURN_FALSE;
    default:
        return NULL;
    }
}
