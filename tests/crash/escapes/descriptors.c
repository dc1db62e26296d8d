/* Descriptors left open, and those of others */
#include "attempt.h"

#include <linux/kcmp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define HIGHEST 4096

ESCAPE(left_file, SEEN, "all", "reads from each descriptor above 2")
{
    for (int fd = 3; fd < HIGHEST; fd++) {
        char text[256];
        ssize_t size = pread(fd, text, sizeof text, 0);
        if (size > 0)
            printed_memory(text, (size_t)size);
    }
    return THROUGH;
}

ESCAPE(left_directory, SEEN, "all", "opens a file below each descriptor that is a directory")
{
    for (int fd = 3; fd < HIGHEST; fd++) {
        int file = openat(fd, "secret", O_RDONLY);
        if (file >= 0)
            return printed(file);
    }
    return STOPPED;
}

ESCAPE(left_directory_parent, SEEN, "all", "opens a file beside each descriptor that is a directory")
{
    for (int fd = 3; fd < HIGHEST; fd++) {
        int file = openat(fd, "../outside/secret", O_RDONLY);
        if (file >= 0)
            return printed(file);
    }
    return STOPPED;
}

ESCAPE(left_directory_chdir, SEEN, "all", "makes a directory that was left open its working directory")
{
    for (int fd = 3; fd < HIGHEST; fd++)
        if (fchdir(fd) == 0)
            printed_file("secret");
    return THROUGH;
}

ESCAPE(left_writable, SEEN, "all", "writes to each descriptor above 2")
{
    for (int fd = 3; fd < HIGHEST; fd++)
        if (write(fd, SHOT, strlen(SHOT)) < 0)
            continue;
    return THROUGH;
}

ESCAPE(left_high_number, SEEN, "all", "reads from a descriptor with a high number")
{
    return printed((int)number("high"));
}

ESCAPE(left_listener, WORD, "all", "finds a listening socket of the caller among its descriptors")
{
    for (int fd = 3; fd < HIGHEST; fd++) {
        int listens = 0;
        socklen_t size = sizeof listens;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
            return THROUGH;
    }
    return STOPPED;
}

ESCAPE(left_file_reopened, SEEN, "all", "opens what it can only read again, for writing, by /proc/self/fd")
{
    for (int fd = 3; fd < HIGHEST; fd++) {
        char path[64];
        struct stat held;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (fstat(fd, &held) == 0 && S_ISREG(held.st_mode))
            defaced_file(path, O_APPEND);
    }
    return THROUGH;
}

ESCAPE(left_working_directory, SEEN, "all", "opens a file in the directory that the caller was in")
{
    return printed_file("secret");
}

ESCAPE(left_namespace, WORD, "root", "joins a namespace whose descriptor was left open")
{
    for (int fd = 3; fd < HIGHEST; fd++)
        if (setns(fd, CLONE_NEWNET) == 0)
            return THROUGH;
    return outcome_of(-1);
}

static int descriptors_of(long pid)
{
    for (int fd = 3; fd < 64; fd++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%ld/fd/%d", pid, fd);
        struct stat held;
        if (stat(path, &held) == 0 && S_ISREG(held.st_mode))
            printed_file(path);
    }
    return THROUGH;
}

ESCAPE(proc_fd_of_victim, SEEN, "all", "opens the files of another process by /proc/PID/fd")
{
    return descriptors_of(number("victim"));
}

ESCAPE(proc_fd_of_caller, SEEN, "all", "opens the files of the caller by /proc/PID/fd")
{
    return descriptors_of(number("caller"));
}

ESCAPE(proc_fd_of_parent, SEEN, "all", "opens the files of its parent by /proc/PID/fd")
{
    return descriptors_of(getppid());
}

static int taken_from(long pid)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0)
        return outcome_of(-1);
    int last = 0;
    char text[64];
    for (int fd = 3; fd < 64; fd++) {
        int taken = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
        struct stat held;
        last = taken < 0 ? errno : 0;
        if (taken >= 0 && fstat(taken, &held) == 0 && S_ISREG(held.st_mode))
            last = pread(taken, text, sizeof text, 0) > 0 ? (printed_memory(text, sizeof text), 0) : errno;
    }
    errno = last;
    return last ? outcome_of(-1) : THROUGH;
}

ESCAPE(pidfd_getfd_of_victim, SEEN, "all", "takes the files of another process with pidfd_getfd")
{
    return taken_from(number("victim"));
}

ESCAPE(pidfd_getfd_of_caller, SEEN, "all", "takes the files of the caller with pidfd_getfd")
{
    return taken_from(number("caller"));
}

static int received(const struct sockaddr_un *place, socklen_t size)
{
    int made = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(made, (const struct sockaddr *)place, size) < 0)
        return outcome_of(-1);
    char text[8], space[CMSG_SPACE(sizeof(int))];
    struct iovec into = {.iov_base = text, .iov_len = sizeof text};
    struct msghdr message = {
        .msg_iov = &into, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (recvmsg(made, &message, 0) <= 0 || CMSG_FIRSTHDR(&message) == NULL)
        return outcome_of(-1);
    int taken;
    memcpy(&taken, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof taken);
    char secret[256];
    ssize_t length = pread(taken, secret, sizeof secret, 0);
    return length > 0 ? printed_memory(secret, (size_t)length) : outcome_of(-1);
}

ESCAPE(scm_rights_by_abstract_socket, SEEN, "all", "is given an open file by who listens on an abstract socket")
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    snprintf(place.sun_path + 1, sizeof place.sun_path - 1, "%s", given("giver"));
    return received(&place, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(given("giver"))));
}

ESCAPE(scm_rights_by_path_socket, SEEN, "all", "is given an open file by who listens on a socket in a directory")
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    snprintf(place.sun_path, sizeof place.sun_path, "%s", below("outside", "giver"));
    return received(&place, sizeof place);
}

ESCAPE(kcmp_of_victim, WORD, "all", "compares its memory with that of another process")
{
    return outcome_of(syscall(SYS_kcmp, getpid(), number("victim"), KCMP_VM, 0, 0));
}

ESCAPE(kcmp_of_caller, WORD, "all", "compares its descriptors with those of the caller")
{
    return outcome_of(syscall(SYS_kcmp, getpid(), number("caller"), KCMP_FILES, 0, 0));
}
