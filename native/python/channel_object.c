/*
 * ramet._core.Channel: messages over a stream socket that this object owns. src/ramet/_workers/crossing/messages.py says what a
 * message is, and has what is less common: parts in a memfd.
 */
#define _GNU_SOURCE
#include "channel.h"
#include "plain_values.h"

#include "detached_thread.h"
#include "epoch.h"
#include "own_table.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_PARTS (1 << 20)
#define INLINE_BYTES ((size_t)1 << 16)
#define FIRST_READ 4096
#define MOST_AT_ONCE ((size_t)1 << 17) /* so that a head alone costs its reader no more memory, whatever it speaks of */
#define MOST_SENT_PARTS 2 /* of send_parts() */
#define NO_DESCRIPTOR (-1)
#define NO_DEADLINE (-1)

/* What a thread is to close, of the process and the memory that received it. */
struct closing {
    struct closing *next;
    pid_t process;
    uint64_t epoch;
    size_t count;
    int descriptors[];
};

/* For which there was no thread. It is taken as a whole, so that it needs no lock, which a fork might copy in use. */
static struct closing *_Atomic left;

/* So that none waits for its peer, which may be behind it. */
static void end_lingering(const struct closing *closing)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    for (size_t i = 0; i < closing->count; i++)
        setsockopt(closing->descriptors[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void *close_them(void *context)
{
    for (const struct closing *closing = context; closing != NULL; closing = closing->next)
        end_lingering(closing);
    for (struct closing *closing = context; closing != NULL;) {
        struct closing *next = closing->next;
        for (size_t i = 0; i < closing->count; i++)
            close(closing->descriptors[i]);
        free(closing);
        closing = next;
    }
    return NULL;
}

static void leave_for_later(struct closing *closing)
{
    while (closing != NULL) {
        struct closing *next = closing->next;
        closing->next = atomic_load(&left);
        while (!atomic_compare_exchange_weak(&left, &closing->next, closing))
            ;
        closing = next;
    }
}

/* What was left by this process: in a copy of it, or a child in its memory, the numbers may be those of other files. */
static struct closing *take_left(void)
{
    struct closing *taken = atomic_exchange(&left, NULL), *ours = NULL, *others = NULL;
    while (taken != NULL) {
        struct closing *next = taken->next;
        struct closing **place = taken->process == getpid() && taken->epoch == ramet_epoch() ? &ours : &others;
        taken->next = *place;
        *place = taken;
        taken = next;
    }
    leave_for_later(others);
    return ours;
}

/*
 * Closes what a child has sent and nobody took. A close() may wait: for the peer of a TCP socket that lingers, for who
 * serves a file of FUSE; so does the end of what still lies in a socket. It is no longer than the child lives. Where there
 * is no thread to be had, which a child can see to, it is closed after a later message.
 */
static void close_aside(const int *descriptors, size_t count)
{
    if (count == 0 && atomic_load(&left) == NULL)
        return;
    struct closing *all = take_left();
    if (count > 0) {
        struct closing *closing = malloc(sizeof *closing + count * sizeof *descriptors);
        for (size_t i = 0; closing == NULL && i < count; i++)
            close(descriptors[i]);
        if (closing != NULL) {
            *closing = (struct closing){.next = all, .process = getpid(), .epoch = ramet_epoch(), .count = count};
            memcpy(closing->descriptors, descriptors, count * sizeof *descriptors);
            all = closing;
        }
    }
    if (all != NULL && ramet_start_detached_thread(close_them, all, 0) != 0)
        leave_for_later(all);
}

PyObject *core_close_aside(PyObject *module, PyObject *number)
{
    const long descriptor = PyLong_AsLong(number);
    (void)module;
    if (descriptor == -1 && PyErr_Occurred())
        return NULL;
    close_aside(&(int){(int)descriptor}, 1);
    Py_RETURN_NONE;
}

/*
 * Where a standard descriptor is closed, a new one may get its number, and what is printed would go into it. This gives
 * it a higher number, where there is room for another. True if so: the former is to be closed.
 */
static bool move_above_standard(int *descriptor)
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

static bool is_open(const ChannelObject *self)
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
        if (move_above_standard(&ends[i]))
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
        close_aside(&descriptor, 1);
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
    close_aside(self->received, (size_t)self->count);
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

/* ---- sending */

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
        if (!is_open(self))
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

static PyObject *channel_send(ChannelObject *self, PyObject *args)
{
    int numbers[MOST_DESCRIPTORS], kind, in_memfd = 0;
    PyObject *parts, *descriptors = NULL, *seconds = Py_None;
    if (!PyArg_ParseTuple(args, "iO!|O!pO:send", &kind, &PyTuple_Type, &parts, &PyTuple_Type, &descriptors, &in_memfd, &seconds) ||
        !is_open(self))
        return NULL;
    int64_t deadline = core_deadline(seconds);
    if (deadline == -2)
        return NULL;
    Py_ssize_t count = descriptors == NULL ? 0 : numbers_of(descriptors, numbers);
    Py_ssize_t bytes = count < 0 || in_memfd ? count : length_of_all(parts);
    if (count < 0 || bytes < 0)
        return NULL;
    if (!in_memfd && (size_t)bytes > INLINE_BYTES)
        Py_RETURN_FALSE;
    struct core_message_head head = {(uint8_t)kind, in_memfd != 0, (uint16_t)count, (uint32_t)PyTuple_GET_SIZE(parts)};
    size_t length = sizeof head + head.parts * sizeof(uint64_t) + (in_memfd ? 0 : (size_t)bytes);
    char *data = PyMem_Malloc(length);
    if (data == NULL)
        return PyErr_NoMemory();
    bool sent = lay_message(data, head, parts) && send_all(self, data, length, numbers, (size_t)count, deadline) == 0;
    PyMem_Free(data);
    return sent ? Py_NewRef(Py_True) : NULL;
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

static PyObject *channel_send_plain(ChannelObject *self, PyObject *args)
{
    uint8_t kind;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "bO:send_plain", &kind, &value) || !is_open(self))
        return NULL;
    int sent = core_channel_send_plain(self, kind, value);
    return sent < 0 ? NULL : PyBool_FromLong(sent);
}

/* ---- receiving */

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
            if (move_above_standard(&descriptors[i]))
                close_aside(&former, 1);
        }
        size_t kept = keep_some(self, descriptors, count);
        if (kept < count)
            self->refused = CORE_FLOODED;
        close_aside(descriptors + kept, count - kept);
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
    close_aside(self->received, (size_t)self->count);
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
    while (deadline != -2 && is_open(self)) { /* another thread may have closed it */
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
            return CORE_NO_MORE;
        } else if (got < 0) {
            core_raise_errno(got);
            return CORE_FAILED;
        }
    }
    return CORE_FAILED;
}

static PyObject *channel_receive(ChannelObject *self, PyObject *args)
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
    if ((patience == -1 && PyErr_Occurred()) || !is_open(self))
        return NULL;
    core_channel_await_end(self, (int)patience);
    Py_RETURN_NONE;
}

/* ---- its end */

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
    if ((descriptor == -1 && PyErr_Occurred()) || !is_open(self))
        return NULL;
    close(self->descriptor);
    self->descriptor = (int)descriptor;
    Py_RETURN_NONE;
}

static PyObject *channel_fileno(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    return is_open(self) ? PyLong_FromLong(self->descriptor) : NULL;
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

static PyGetSetDef channel_properties[] = {
    {"sent", (getter)channel_sent, NULL, "How many messages were sent, also where a handler of a signal raised right after.", NULL},
    {"taken", (getter)channel_taken, NULL, "How many messages receive() took, also where a handler of a signal raised right after.", NULL},
    {"closed", (getter)channel_closed, NULL, "Whether it has been closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef channel_methods[] = {
    {"send", (PyCFunction)channel_send, METH_VARARGS,
     "send($self, kind, parts, descriptors=(), in_memfd=False, seconds=None, /)\n--\n\n"
     "Sends a message. in_memfd: the parts lie in a memfd, the first descriptor, and only their lengths are sent.\n"
     "Returns False for more than can be sent without one: nothing was sent. Raises TimeoutError when the other side has not\n"
     "made room for it in so many seconds, and has got a part of it or nothing."},
    {"send_plain", (PyCFunction)channel_send_plain, METH_VARARGS,
     "send_plain($self, kind, value, /)\n--\n\nSends a plain value, see plain_value(). Returns False for any other."},
    {"receive", (PyCFunction)channel_receive, METH_VARARGS,
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
