/*
 * What lies in a socket is looked at in another table of descriptors: this process's POSIX locks stay, and its table.
 * Its end is waited for by nobody, though two files in it wait for each other.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "check.h"
#include "own_table.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define MOST 3

static int ends[2];

static void send_files(const int *descriptors, size_t count)
{
    char control[CMSG_SPACE(8 * sizeof(int))];
    struct iovec piece = {"x", 1};
    struct msghdr header = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *carried = CMSG_FIRSTHDR(&header);
    carried->cmsg_level = SOL_SOCKET;
    carried->cmsg_type = SCM_RIGHTS;
    carried->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(carried), descriptors, count * sizeof(int));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK(sendmsg(ends[1], &header, 0) == 1);
}

static int answer_for(const int *descriptors, size_t count)
{
    char byte = 0;
    send_files(descriptors, count);
    const int next = dup(0), answer = ramet_look_at_descriptors(ends[0], &byte, 1, MOST);
    const int same = dup(0);
    CHECK(same == next + 1 && byte == 'x');
    CHECK(recv(ends[0], &byte, 1, MSG_DONTWAIT) == 1); /* it has stayed there */
    close(same);
    close(next);
    close(ends[0]);
    close(ends[1]);
    return answer;
}

static int memory(int seals)
{
    const int made = memfd_create("memory", MFD_ALLOW_SEALING);
    CHECK(made >= 0 && fcntl(made, F_ADD_SEALS, seals) == 0);
    return made;
}

static void check_answers(void)
{
    const int sealed = memory(SEALS), open_to_change = memory(F_SEAL_SHRINK), other = open("/", O_RDONLY);
    CHECK(answer_for((int[]){sealed}, 1) == RAMET_SEALED_MEMORY);
    CHECK(answer_for((int[]){sealed, sealed, sealed}, MOST) == RAMET_SEALED_MEMORY);
    CHECK(answer_for((int[]){sealed, sealed, sealed, sealed}, MOST + 1) == RAMET_TOO_MANY);
    CHECK(answer_for((int[]){open_to_change}, 1) == RAMET_OTHER_FILES);
    CHECK(answer_for((int[]){sealed, other}, 2) == RAMET_OTHER_FILES);
    close(sealed);
    close(open_to_change);
    close(other);
}

/* Whether this process has a lock on the file, as another one sees it. */
static bool is_locked(int file)
{
    const pid_t child = fork();
    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _exit(fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? FOUND : PASSED);
    }
    return code_of(child) == FOUND;
}

static void check_locks_stay(void)
{
    char name[] = "/tmp/ramet-own-table-XXXXXX";
    const int file = mkstemp(name), copy = open(name, O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK(file >= 0 && copy >= 0 && unlink(name) == 0 && fcntl(file, F_SETLK, &lock) == 0 && is_locked(copy));
    CHECK(answer_for((int[]){file}, 1) == RAMET_OTHER_FILES);
    CHECK(is_locked(copy));
    close(copy);
    CHECK(!is_locked(file)); /* this is what a close does */
    close(file);
}

/* A TCP socket that waits at its end until its peer has read, and its peer. */
static void make_lingering(int *pair)
{
    static char bytes[65536];
    const struct linger for_long = {1, 1000};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(server, (void *)&address, length) == 0 && listen(server, 1) == 0);
    CHECK(getsockname(server, (void *)&address, &length) == 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(pair[0], (void *)&address, length) == 0 && (pair[1] = accept(server, NULL, NULL)) >= 0);
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &for_long, sizeof for_long) == 0);
    while (send(pair[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    close(server);
}

/* A pipe tells when the last of what was sent with its end is gone. */
static void check_end_is_not_waited_for(bool reversed)
{
    int pair[2], told[2];
    make_lingering(pair);
    CHECK(pipe(told) == 0);
    send_files(reversed ? (int[]){told[1], pair[1], pair[0]} : (int[]){pair[0], pair[1], told[1]}, MOST);
    for (int i = 0; i < 2; i++)
        close(pair[i]);
    close(told[1]);
    close(ends[1]);
    CHECK(ramet_close_unread(ends[0]) == 0);
    CHECK(fcntl(ends[0], F_GETFD) == -1 && errno == EBADF);
    struct pollfd end = {.fd = told[0]};
    CHECK(poll(&end, 1, 20000) == 1 && end.revents & POLLHUP);
    close(told[0]);
}

static void check_without_threads(void)
{
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        send_files((int[]){0}, 1);
        CHECK(setresuid(65534, 65534, 65534) == 0 || geteuid() != 0);
        CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
        char byte;
        CHECK(ramet_look_at_descriptors(ends[0], &byte, 1, MOST) == -EAGAIN);
        CHECK(ramet_close_unread(ends[0]) == EAGAIN && fcntl(ends[0], F_GETFD) >= 0);
        _exit(PASSED);
    }
    CHECK(code_of(child) == PASSED);
}

int main(void)
{
    check_answers();
    check_locks_stay();
    check_end_is_not_waited_for(false);
    check_end_is_not_waited_for(true);
    check_without_threads();
    return passed();
}
