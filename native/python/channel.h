/* Messages over a stream socket: what serves calls reads them where they have arrived. */
#pragma once

#include "core.h"

#define MOST_DESCRIPTORS 253 /* SCM_MAX_FD, net/scm.h */

/* Kinds of messages, as call_messages.py and template_messages.py of src/ramet/_workers/crossing have them, and _process/result_layout.py. */
enum {
    CORE_CALL = 1,   /* to a clone: a call */
    CORE_PLAIN = 5,  /* from it: a plain value */
    CORE_TRACED = 7, /* an exception: what is told of it, and its pickle */
    CORE_MADE = 34,  /* from a template: a clone */
    CORE_MAKE = 49,  /* to it: a clone is to be made */
};

/* What it says: the clone, and the init of its pid namespace, 0 for none. */
struct core_pids {
    int32_t clone, init;
};

/* Why nothing of what has come is received, now or later. */
enum core_refusal {
    CORE_NOT_REFUSED,
    CORE_FLOODED,   /* more descriptors than messages have */
    CORE_FOREIGN,   /* from who is not trusted, one that is not of a sealed memfd */
    CORE_NOT_SEEN,  /* from him, and there was no thread to look at them */
};

struct core_message_head {
    uint8_t kind, in_memfd;
    uint16_t descriptors;
    uint32_t parts;
};

typedef struct {
    PyObject_HEAD
    int descriptor;
    char *data; /* what has arrived and was not taken */
    size_t length, room;
    int *received; /* descriptors that have arrived and were not taken */
    int count, most_descriptors;    /* of a message */
    bool lost;                      /* a descriptor, for want of room in the table */
    bool left_unread;               /* the other side has ended with something unread */
    enum core_refusal refused;
    int why_not_seen;               /* an errno */
    bool distrusted;                /* what it sends may make who closes it wait, and take this process's locks away */
    unsigned long long sent, taken; /* messages */
} ChannelObject;

/* It owns the descriptor. NULL with an exception set. */
ChannelObject *core_channel_new(int descriptor);

enum core_arrival { CORE_FAILED, CORE_NO_MORE, CORE_TIME_IS_UP, CORE_ARRIVED };

/*
 * Waits until a message is there: it begins at data. No more: the stream is at its end, or the task of the pidfd is; a
 * process that it has forked may have the socket, and go on. Failed: with an exception set.
 */
enum core_arrival core_channel_await(ChannelObject *self, PyObject *seconds, int pidfd);

/* The message that is there, as receive() returns it. None in place of its descriptors: some of them had no room in the table. */
PyObject *core_channel_take(ChannelObject *self);

/* The first of those that have arrived. */
void core_channel_take_descriptors(ChannelObject *self, int *descriptors, int count);

/* The message that is there has been read; it has so many bytes. */
void core_channel_drop(ChannelObject *self, size_t bytes);

/* 1; 0: the value is not plain, nothing was sent; -1 with an exception set. */
int core_channel_send_plain(ChannelObject *self, uint8_t kind, PyObject *value);

/* A message of bytes-like objects. 1; 0: it is too long to be sent but in a memfd; -1 with an exception set. */
int core_channel_send_inline(ChannelObject *self, uint8_t kind, PyObject *parts);

/* Whether a descriptor can be read now. */
bool core_is_readable(int descriptor);

/* Whether the task of a pidfd has ended; not so for -1. */
bool core_has_ended(int pidfd);

/* Whether a message has arrived: it begins at data. It does not wait, and says nothing of an end or an error, which stay there. */
bool core_channel_has_message(ChannelObject *self);

struct core_part {
    const void *bytes;
    size_t length;
};

/*
 * A message of a few parts, which together are no longer than a plain value and a plan. deadline: of ramet_now(), for the other
 * side to make room; -1 for none. False with an exception set.
 */
bool core_channel_send_parts(ChannelObject *self, uint8_t kind, const struct core_part *parts, uint32_t count, int64_t deadline);

/* What the other side sends may make who closes it wait, and take the locks of this process away. */
void core_channel_distrust(ChannelObject *self);

/* A message of one part, with descriptors, which stay the caller's. False with an exception set. */
bool core_channel_send_part(ChannelObject *self, uint8_t kind, const void *part, size_t length, const int *descriptors, int count);

/* The ends of a new channel, above the standard descriptors. -1 with errno. */
int core_socket_pair(int *ends);

struct core_clone_owner;
/* 1: the message that has arrived was of a clone, which the other owns now. 0: it is another, and stays. -1 with an exception set. */
int core_channel_take_clone(ChannelObject *self, struct core_clone_owner *clone);

PyObject *core_channel_receive_clone(ChannelObject *self, PyObject *args);
PyObject *core_channel_serve_clones(ChannelObject *self, PyObject *args);
PyObject *core_channel_serve_plain(ChannelObject *self, PyObject *args);

/*
 * In a new clone: what at_once says, and then the calls that come. made: how many clones the template has made. The
 * exit code where that is all that it had to do; -1 if not: failed or served says how far it came, or an exception is set.
 */
int core_serve_at_once(ChannelObject *channel, PyObject *at_once, unsigned long long made, PyObject **failed, PyObject **served);
/* For a child that is about to end: the other side's end, for so long, or for ever if that is negative. */
void core_channel_await_end(ChannelObject *self, int milliseconds);
