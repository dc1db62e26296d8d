/*
 * Channel.serve_clones(): in a template, the clones that it has made before. Nothing of Python's runs for them but its part of a
 * fork: each page that is written to after a clone is copied, by the template as by the clone.
 */
#include "channel.h"
#include "clone_ways.h"
#include "plan_object.h"
#include "words.h"

#include <linux/sched.h>
#include <unistd.h>

#include "pid_namespace.h"

#define NONE (-1)

enum { OURS, THEIRS };

/* A request that the template knows. */
struct known {
    PyObject *making; /* the request's one part */
    struct core_request request;
    int in_namespace;
    PyObject *steps, *given; /* what the clone does first, and what it is given */
    PyObject *at_once;       /* what it can do without Python, or None */
};

/* What is made for a clone. */
struct clone {
    struct core_pids pids;
    int channel[2], pidfd, pidfd_of_init;
    int template; /* this process, whose namespace is entered again; else -1 */
};

static void close_if_open(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}

/* ---- the request */

static bool read_known(struct known *known, PyObject *item)
{
    PyObject *request;
    return PyArg_ParseTuple(item, "SOpO!OO:known", &known->making, &request, &known->in_namespace, &Plan_Type, &known->steps,
                            &known->given, &known->at_once) &&
           core_read_request(&known->request, request);
}

/* Whether the message that is there is that request; how many bytes it has then. */
static size_t is_for(const ChannelObject *self, const struct known *known)
{
    struct core_message_head head;
    uint64_t bytes;
    const size_t place = sizeof head + sizeof bytes;
    memcpy(&head, self->data, sizeof head);
    if (head.kind != CORE_MAKE || head.parts != 1 || head.descriptors > 0)
        return 0;
    memcpy(&bytes, self->data + sizeof head, sizeof bytes);
    bool same = bytes == (uint64_t)PyBytes_GET_SIZE(known->making) &&
                memcmp(self->data + place, PyBytes_AS_STRING(known->making), bytes) == 0;
    return same ? place + bytes : 0;
}

/* 0: it is none of them; an exception may be set. */
static size_t find_known(const ChannelObject *self, PyObject *all, struct known *known)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(all); i++) {
        size_t length = read_known(known, PyList_GET_ITEM(all, i)) ? is_for(self, known) : 0;
        if (length > 0 || PyErr_Occurred())
            return length;
    }
    return 0;
}

/* ---- the clone's pid namespace */

static bool set_namespace_of_children(int pidfd)
{
    return ramet_syscall2(__NR_setns, pidfd, CLONE_NEWPID) == 0;
}

/* This process, if the kernel takes it for its children's namespace, as it then does with any other. */
static int open_itself(void)
{
    int itself = (int)ramet_syscall2(__NR_pidfd_open, getpid(), 0);
    if (itself >= 0 && set_namespace_of_children(itself))
        return itself;
    close_if_open(itself);
    return NONE;
}

/* Whether the next clone is in a namespace of its own. */
static bool enter_new_namespace(struct clone *clone)
{
    long pid = ramet_new_pid_namespace(&clone->pidfd_of_init, -1);
    if (pid < 0)
        return false;
    clone->pids.init = (int32_t)pid;
    return set_namespace_of_children(clone->pidfd_of_init);
}

/* ---- the clone */

/* What is its template's. */
static void close_others(ChannelObject *control, const struct clone *clone)
{
    close(control->descriptor);
    control->descriptor = NONE;
    close(clone->channel[THEIRS]);
    close_if_open(clone->pidfd_of_init);
    close_if_open(clone->template);
}

/*
 * In the clone: carries out the steps that bind it to its parent, and ends it if the parent has ended before them.
 * A parent of 0 is in a pid namespace that cannot be seen from here.
 */
static void do_first(PyObject *steps, pid_t parent)
{
    int step, error;
    bool done = core_do_plan(((PlanObject *)steps)->plan, &step, &error);
    const pid_t now = getppid();
    if (!done || (now != parent && now != 0))
        _exit(1);
}

static PyObject *or_none(PyObject *one)
{
    return one == NULL ? Py_NewRef(Py_None) : one;
}

/* In the clone: it never returns. */
static void run_clone(ChannelObject *control, PyObject *run, const struct known *known, const struct clone *clone, pid_t parent)
{
    close_others(control, clone);
    do_first(known->steps, parent);
    PyObject *failed = NULL, *served = NULL;
    ChannelObject *channel = core_channel_new(clone->channel[OURS]);
    int code = NONE;
    if (channel != NULL && known->at_once != Py_None)
        code = core_serve_at_once(channel, known->at_once, control->sent, &failed, &served);
    if (code != NONE)
        _exit(code);
    if (channel == NULL || PyErr_Occurred())
        _exit(core_code_of_failure());
    PyObject *in_namespace = clone->pids.init > 0 ? Py_True : Py_False;
    PyObject *begun = Py_BuildValue("ONONN", known->given, channel, in_namespace, or_none(failed), or_none(served));
    _exit(begun == NULL ? core_code_of_failure() : core_invoke(run, begun));
}

/* Whether it was made. */
static bool make_clone(ChannelObject *self, struct known *known, struct clone *clone, PyObject *run)
{
    const pid_t parent = getppid();
    known->request.kernel.args.pidfd = (uintptr_t)&clone->pidfd;
    long pid = core_clone_copied(&known->request);
    if (pid == 0)
        run_clone(self, run, known, clone, parent);
    clone->pids.clone = (int32_t)pid;
    return pid > 0;
}

static bool make_in_namespace(ChannelObject *self, struct known *known, struct clone *clone, PyObject *run)
{
    clone->template = open_itself();
    if (clone->template == NONE)
        return false;
    bool made = enter_new_namespace(clone) && make_clone(self, known, clone, run);
    if (made)
        ramet_begin_in_pid_namespace(clone->pids.init, RAMET_FIRST_CHILD);
    if (!set_namespace_of_children(clone->template))
        PyErr_SetFromErrno(PyExc_OSError);
    close(clone->template);
    return made;
}

static bool send_made(ChannelObject *self, const struct clone *clone, int count)
{
    const int descriptors[] = {clone->pidfd, clone->channel[THEIRS], clone->pidfd_of_init};
    return core_channel_send_part(self, CORE_MADE, &clone->pids, sizeof clone->pids, descriptors, count);
}

/* False with an exception set. Without them where a user's processes have too many in sockets: unix(7), ETOOMANYREFS. */
static bool tell(ChannelObject *self, const struct clone *clone)
{
    if (send_made(self, clone, clone->pids.init > 0 ? 3 : 2))
        return true;
    if (errno != ETOOMANYREFS)
        return false;
    PyErr_Clear();
    return send_made(self, clone, 0);
}

/* False: there is no clone, and the init of a namespace at most; an exception may be set. */
static bool make_with_channel(ChannelObject *self, struct known *known, struct clone *clone, PyObject *run)
{
    if (core_socket_pair(clone->channel) < 0)
        return false;
    bool made = known->in_namespace ? make_in_namespace(self, known, clone, run) : make_clone(self, known, clone, run);
    close(clone->channel[OURS]);
    if (!made)
        close(clone->channel[THEIRS]);
    return made;
}

/* The caller owns the clone from here on. False with an exception set. */
static bool hand_over(ChannelObject *self, const struct clone *clone)
{
    bool told = !PyErr_Occurred() && tell(self, clone);
    close(clone->channel[THEIRS]);
    close(clone->pidfd);
    close_if_open(clone->pidfd_of_init);
    return told;
}

/* The message that is there, for who knows more of it, and what was made for it already. */
static PyObject *pass_on(ChannelObject *self, const struct clone *clone)
{
    PyObject *message = core_channel_take(self);
    if (message == NULL)
        return NULL;
    return clone->pids.init > 0 ? Py_BuildValue("N(ii)", message, (int)clone->pids.init, clone->pidfd_of_init)
                                : Py_BuildValue("NO", message, Py_None);
}

PyObject *core_channel_serve_clones(ChannelObject *self, PyObject *args)
{
    PyObject *all, *run;
    if (!PyArg_ParseTuple(args, "O!O:serve_clones", &PyList_Type, &all, &run))
        return NULL;
    core_make_words();
    for (;;) {
        enum core_arrival arrival = core_channel_await(self, Py_None, NONE);
        if (arrival != CORE_ARRIVED)
            return arrival == CORE_NO_MORE ? Py_NewRef(Py_None) : NULL;
        struct known known;
        struct clone clone = {.pidfd = NONE, .pidfd_of_init = NONE, .template = NONE};
        size_t length = find_known(self, all, &known);
        if (length == 0 || !make_with_channel(self, &known, &clone, run))
            return PyErr_Occurred() ? NULL : pass_on(self, &clone);
        core_channel_drop(self, length);
        if (!hand_over(self, &clone) || PyErr_CheckSignals() < 0)
            return NULL;
    }
}
