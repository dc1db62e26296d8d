/* The pid namespace that was made for a child, and its init. */
#define _GNU_SOURCE
#include "namespace_of_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "futex.h"
#include "safe_kill.h"

#define NO_DESCRIPTOR (-1)
#define LOOK_SECONDS 0.1 /* for its end, before a look at what keeps it */

void core_handle_hold_init(HandleObject *self, long pid, int pidfd)
{
    self->has_namespace = pid != 0;
    self->init = (int)pid;
    self->init_pidfd = pidfd;
}

/* 1 when it has ended, 0 when it has not in the time that most need, -1 with an exception set. */
static int await_init(HandleObject *self)
{
    struct pollfd end = {.fd = self->init_pidfd, .events = POLLIN};
    self->init_users++; /* no other thread closes it meanwhile */
    const int has_ended = core_poll_all_until(&end, 1, ramet_now() + (int64_t)(LOOK_SECONDS * RAMET_SECOND));
    self->init_users--;
    return has_ended;
}

static void reap_init(HandleObject *self)
{
    const int options = WEXITED | WNOHANG | __WALL;
    if (ramet_syscall5(__NR_waitid, P_PIDFD, self->init_pidfd, NULL, options, NULL) == -EINVAL) /* before Linux 5.4 */
        ramet_syscall5(__NR_waitid, P_PID, self->init, NULL, options, NULL);
    self->init = 0;
}

/* By the last who polls it, once it is no more of this handle. */
static void close_init_if_over(HandleObject *self)
{
    if (self->init != 0 || self->init_users > 0 || self->init_pidfd < 0)
        return;
    close(self->init_pidfd);
    self->init_pidfd = NO_DESCRIPTOR;
}

/* Whether a signal could be sent to it from here, and was unless it had ended. */
static bool kill_init(const HandleObject *self)
{
    const int pidfd = core_handle_here(self, self->init_pidfd);
    if (pidfd >= 0)
        ramet_send_signal(self->init, pidfd, SIGKILL);
    return pidfd >= 0;
}

int core_handle_end_namespace(HandleObject *self)
{
    if (self->maker != getpid())
        return 1;
    if (!kill_init(self))
        return 0;
    const int has_ended = await_init(self);
    const bool is_to_reap = has_ended > 0 && self->init != 0; /* it may have been given away meanwhile, or reaped */
    if (is_to_reap)
        reap_init(self);
    close_init_if_over(self);
    return has_ended < 0 ? -1 : is_to_reap;
}

PyObject *core_handle_kill_init(HandleObject *self, PyObject *unused)
{
    (void)unused;
    if (self->init != 0 && self->maker == getpid())
        kill_init(self);
    Py_RETURN_NONE;
}

PyObject *core_handle_end_init(HandleObject *self, PyObject *unused)
{
    (void)unused;
    const int has_ended = self->init == 0 ? 0 : core_handle_end_namespace(self);
    return has_ended < 0 ? NULL : PyBool_FromLong(has_ended);
}

/* In one step: no signal handler runs in between. -1 with an exception set. */
static int give(HandleObject *self, PyObject *namespace)
{
    if (self->init == 0) /* another thread was quicker */
        return 0;
    const bool is_polled = self->init_users > 0; /* by one that knows the number, and closes it */
    const int pidfd = is_polled ? (int)ramet_syscall3(__NR_fcntl, self->init_pidfd, F_DUPFD_CLOEXEC, 0) : self->init_pidfd;
    PyObject *number = PyLong_FromLong(pidfd < 0 ? NO_DESCRIPTOR : pidfd);
    const bool is_given = number != NULL && PyObject_SetAttrString(namespace, "_pidfd", number) == 0 &&
                          PyObject_SetAttrString((PyObject *)self, "_namespace", namespace) == 0;
    Py_XDECREF(number);
    if (is_given) {
        self->init = 0;
        if (!is_polled)
            self->init_pidfd = NO_DESCRIPTOR;
    } else if (is_polled && pidfd >= 0)
        close(pidfd);
    return is_given ? 0 : -1;
}

PyObject *core_handle_give_init(HandleObject *self, PyObject *kind)
{
    if (self->init == 0)
        Py_RETURN_NONE;
    PyObject *namespace = PyObject_CallFunction(kind, "ii", self->init, NO_DESCRIPTOR);
    const int given = namespace == NULL ? -1 : give(self, namespace);
    Py_XDECREF(namespace);
    return given < 0 ? NULL : Py_NewRef(Py_None);
}
