#define _GNU_SOURCE
#include "own_table.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "close_files.h"
#include "detached_thread.h"
#include "futex.h"

#include <linux/close_range.h>

#define MOST_LOOKED_AT 253 /* SCM_MAX_FD, net/scm.h */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define WORD_BITS 64 /* a table is copied in words of so many descriptors */

#define PATIENCE (10 * RAMET_MILLISECOND)

enum { UNDECIDED, DECIDED, LEFT };

/*
 * On its own table, which has at least what is up to the last one. Behind a number of whole words nothing is copied, so that
 * nothing is closed here: that may wait, for a file of the caller's on NFS.
 */
static int take_own_table(int last)
{
    const unsigned first = (unsigned)last / WORD_BITS * WORD_BITS + WORD_BITS;
    if (ramet_syscall3(__NR_close_range, first, ~0U, CLOSE_RANGE_UNSHARE) == 0)
        return 0;
    return (int)ramet_syscall1(__NR_unshare, CLONE_FILES); /* before Linux 5.9, and where a filter hides it */
}

/* ---- a look */

struct look {
    int socket;
    void *data; /* until it is decided */
    size_t length, most;
    int stage; /* a futex word */
    int answer;
    int owners;
};

static void leave(struct look *task)
{
    if (__atomic_sub_fetch(&task->owners, 1, __ATOMIC_ACQ_REL) == 0)
        free(task);
}

/* Files of tmpfs have seals, too, but never these; so this is a file in memory that its owner has given up to change. */
static bool is_sealed_memory(int descriptor)
{
    const long seals = ramet_syscall3(__NR_fcntl, descriptor, F_GET_SEALS, 0);
    return seals >= 0 && (seals & SEALS) == SEALS;
}

static size_t take_seen(struct msghdr *seen, int *descriptors)
{
    size_t count = 0;
    for (struct cmsghdr *carried = CMSG_FIRSTHDR(seen); carried != NULL; carried = CMSG_NXTHDR(seen, carried)) {
        if (carried->cmsg_level != SOL_SOCKET || carried->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t more = (carried->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors + count, CMSG_DATA(carried), more * sizeof(int));
        count += more;
    }
    return count;
}

/* How what is seen is judged; it stays in the socket, so that no close() here is the last. */
static int look(const struct look *task, int *descriptors, size_t *count)
{
    char control[CMSG_SPACE(MOST_LOOKED_AT * sizeof(int))];
    struct iovec piece = {task->data, task->length};
    struct msghdr seen = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN(task->most * sizeof(int))};
    if (recvmsg(task->socket, &seen, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
        return RAMET_NOT_THERE;
    *count = take_seen(&seen, descriptors);
    if (seen.msg_flags & MSG_CTRUNC)
        return *count >= task->most ? RAMET_TOO_MANY : RAMET_NO_ROOM;
    for (size_t i = 0; i < *count; i++)
        if (!is_sealed_memory(descriptors[i]))
            return RAMET_OTHER_FILES;
    return RAMET_SEALED_MEMORY;
}

/*
 * The copies of the caller's files are closed: who waits for the end of a pipe is not to wait for what the sender's wait for.
 * Of the sender's what is no file in memory is left to this thread's end, and so is the socket, of which this may be the last
 * descriptor by now: nothing that lingers keeps it then, and where another file does, no memory is held.
 */
static void leave_table(int socket, const int *descriptors, size_t count)
{
    int kept[MOST_LOOKED_AT + 1] = {socket}, left = 1;
    for (size_t i = 0; i < count; i++) {
        if (ramet_syscall3(__NR_fcntl, descriptors[i], F_GET_SEALS, 0) >= 0)
            close(descriptors[i]);
        else
            kept[left++] = descriptors[i];
    }
    ramet_close_all_but_these(kept, left);
}

static void *look_in_own_table(void *context)
{
    struct look *task = context;
    int descriptors[MOST_LOOKED_AT];
    size_t count = 0;
    const int socket = task->socket, refused = take_own_table(socket);
    task->answer = refused < 0 ? refused : look(task, descriptors, &count);
    ramet_futex_set(&task->stage, DECIDED);
    if (refused == 0)
        leave_table(socket, descriptors, count);
    ramet_futex_set(&task->stage, LEFT);
    leave(task);
    return NULL;
}

/*
 * Until no file of this process is open in two tables: who closes a listening socket and binds another one is not to find it
 * taken. No longer than that takes without a file on NFS, which is written to its server at each close.
 */
static void await_left(struct look *task)
{
    const int64_t deadline = ramet_now() + PATIENCE;
    while (__atomic_load_n(&task->stage, __ATOMIC_ACQUIRE) == DECIDED && ramet_now() < deadline)
        ramet_futex_wait_until(&task->stage, DECIDED, deadline);
}

int ramet_look_at_descriptors(int socket, void *data, size_t length, size_t most)
{
    struct look *task = malloc(sizeof *task);
    if (task == NULL)
        return -ENOMEM;
    *task = (struct look){.socket = socket, .data = data, .length = length, .most = most < MOST_LOOKED_AT ? most : MOST_LOOKED_AT, .owners = 2};
    const int error = ramet_start_detached_thread(look_in_own_table, task, 0);
    if (error != 0) {
        free(task);
        return -error;
    }
    ramet_futex_await_change(&task->stage, UNDECIDED);
    const int answer = task->answer;
    if (answer == RAMET_SEALED_MEMORY)
        await_left(task);
    leave(task);
    return answer;
}

/* ---- the end of a socket */

enum { UNSHARED = 1, REFUSED };

struct closing {
    int socket;
    int has_table, is_closed; /* futex words */
};

/* It has the socket last, and leaves it to its own end. */
static void *close_at_end(void *context)
{
    struct closing *closing = context;
    const int socket = closing->socket;
    const bool has_table = take_own_table(socket) == 0;
    ramet_futex_set(&closing->has_table, has_table ? UNSHARED : REFUSED);
    ramet_futex_await_change(&closing->is_closed, 0);
    free(closing);
    if (has_table)
        ramet_close_all_but_these(&socket, 1);
    else
        close(socket);
    return NULL;
}

int ramet_close_unread(int socket)
{
    struct closing *closing = malloc(sizeof *closing);
    if (closing == NULL)
        return ENOMEM;
    *closing = (struct closing){.socket = socket};
    const int error = ramet_start_detached_thread(close_at_end, closing, 0);
    if (error != 0) {
        free(closing);
        return error;
    }
    ramet_futex_await_change(&closing->has_table, 0);
    if (closing->has_table == UNSHARED)
        close(socket);
    ramet_futex_set(&closing->is_closed, 1);
    return 0;
}
