/*
 * Channel.receive_clone(): a clone's descriptors, from the socket into the object that owns them, without a line of Python
 * between, at which a handler of a signal may raise.
 */
#include "clone_owner.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* include/uapi/linux/pidfd.h, since Linux 6.13; its first version. */
struct pidfd_info {
    uint64_t mask, cgroup;
    uint32_t pid, others[11];
};
#define GET_INFO _IOWR(0xFF, 11, struct pidfd_info)
#define INFO_PID 1

enum { PIDFD, CHANNEL, OF_CLONE, PIDFD_OF_INIT = OF_CLONE, MOST_OF_CLONE };

static bool has_option(int descriptor, int option, int wanted)
{
    int value;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 && value == wanted;
}

/* Any other file may be one whose close() waits for its maker: it is left to who closes such files. */
static bool is_channel(int descriptor)
{
    return has_option(descriptor, SO_DOMAIN, AF_UNIX) && has_option(descriptor, SO_TYPE, SOCK_STREAM);
}

/* Whether the message is of a clone, and all that belongs to it has arrived; its length then. */
static size_t read_pids(const ChannelObject *self, struct core_pids *pids)
{
    struct core_message_head head;
    uint64_t bytes;
    const size_t place = sizeof head + sizeof bytes;
    memcpy(&head, self->data, sizeof head);
    if (head.kind != CORE_MADE || head.parts != 1 || head.in_memfd || self->lost || self->count < head.descriptors)
        return 0;
    memcpy(&bytes, self->data + sizeof head, sizeof bytes);
    if (bytes != sizeof *pids)
        return 0;
    memcpy(pids, self->data + place, sizeof *pids);
    const int descriptors = pids->init == 0 ? OF_CLONE : MOST_OF_CLONE;
    bool is_clone = pids->clone > 0 && pids->init >= 0 && head.descriptors == descriptors;
    return is_clone && is_channel(self->received[CHANNEL]) ? place + sizeof *pids : 0;
}

/* The pid of a child of this process, as it sees it; 0 where that is not told. Any other file is asked nothing. */
static int pid_of_child(int pidfd)
{
    struct pidfd_info info = {.mask = INFO_PID};
    siginfo_t unused;
    const int look = WEXITED | WNOHANG | WNOWAIT | __WALL;
    if (waitid(P_PIDFD, (id_t)pidfd, &unused, look) < 0 || ioctl(pidfd, GET_INFO, &info) < 0)
        return 0;
    return (int)info.pid;
}

/* In place of pids in another namespace those in this one; whether all are known, and of children of this process. */
static bool found_own(struct core_pids *pids, const int *descriptors)
{
    struct core_pids own = {.clone = pid_of_child(descriptors[PIDFD])};
    if (pids->init != 0)
        own.init = pid_of_child(descriptors[PIDFD_OF_INIT]);
    if (own.clone == 0 || (own.init == 0 && pids->init != 0))
        return false;
    *pids = own;
    return true;
}

/* What a clone sends has a memfd at most, or three where it becomes a template: it cannot fill its caller's table. */
static bool give(CloneOwnerObject *clone, struct core_pids pids, const int *descriptors)
{
    ChannelObject *channel = core_channel_new(descriptors[CHANNEL]);
    if (channel == NULL)
        return false;
    channel->most_descriptors = MOST_OF_CLONE;
    Py_XSETREF(clone->channel, (PyObject *)channel);
    clone->pid = pids.clone;
    clone->pidfd = descriptors[PIDFD];
    clone->init = pids.init;
    clone->pidfd_of_init = pids.init == 0 ? -1 : descriptors[PIDFD_OF_INIT];
    clone->owns = true;
    return true;
}

int core_channel_take_clone(ChannelObject *self, struct core_clone_owner *clone)
{
    int descriptors[MOST_OF_CLONE];
    struct core_pids pids;
    size_t length = read_pids(self, &pids);
    if (length == 0)
        return 0;
    core_channel_take_descriptors(self, descriptors, pids.init == 0 ? OF_CLONE : MOST_OF_CLONE);
    core_channel_drop(self, length);
    if (clone->is_confined && found_own(&pids, descriptors)) {
        clone->has_own_numbers = true;
        clone->is_doubted = false;
    }
    return give(clone, pids, descriptors) ? 1 : -1;
}

PyObject *core_channel_receive_clone(ChannelObject *self, PyObject *args)
{
    CloneOwnerObject *clone;
    PyObject *seconds;
    int pidfd;
    if (!PyArg_ParseTuple(args, "O!Oi:receive_clone", &CloneOwner_Type, &clone, &seconds, &pidfd))
        return NULL;
    enum core_arrival arrival = core_channel_await(self, seconds, pidfd);
    if (arrival == CORE_NO_MORE)
        Py_RETURN_NONE;
    if (arrival == CORE_TIME_IS_UP)
        Py_RETURN_FALSE;
    if (arrival != CORE_ARRIVED)
        return NULL;
    int taken = core_channel_take_clone(self, clone);
    if (taken == 0)
        return core_channel_take(self);
    return taken < 0 ? NULL : Py_NewRef(Py_True);
}
