/* A descriptor comes over a socket as another number of the same file, and closes with an exec. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "check.h"
#include "descriptor_message.h"

static ino_t inode_of(int descriptor)
{
    struct stat found;
    CHECK(fstat(descriptor, &found) == 0);
    return found.st_ino;
}

/* As launch_ahead.c sends them. */
static void send_several(int socket, const int *descriptors, unsigned char count, unsigned char told)
{
    struct iovec vector = {&told, 1};
    char control[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8))) = {0};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), descriptors, count * sizeof(int));
    CHECK(sendmsg(socket, &message, 0) == 1);
}

static void several_come_together(int sent)
{
    int ends[2], received[RAMET_MOST_SENT], both[] = {sent, 0};
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    send_several(ends[0], both, 2, 2);
    CHECK(ramet_receive_descriptors(ends[1], received) == 2);
    CHECK(inode_of(received[0]) == inode_of(sent) && inode_of(received[1]) == inode_of(0));
    send_several(ends[0], both, 1, 2); /* one is lost */
    CHECK(ramet_receive_descriptors(ends[1], received) == -EMFILE);
    CHECK(write(ends[0], "", 1) == 1);
    CHECK(ramet_receive_descriptors(ends[1], received) == 0);
    close(ends[0]);
    CHECK(ramet_receive_descriptors(ends[1], received) == RAMET_NO_MESSAGE);
}

int main(void)
{
    int ends[2], sent = open("/proc/self/status", O_RDONLY);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && sent >= 0);
    CHECK(ramet_send_descriptor(ends[0], sent) == 1);
    int received = ramet_receive_descriptor(ends[1]);
    CHECK(received >= 0 && received != sent && inode_of(received) == inode_of(sent));
    CHECK(fcntl(received, F_GETFD) == FD_CLOEXEC);
    CHECK(write(ends[0], "x", 1) == 1); /* a message without one */
    CHECK(ramet_receive_descriptor(ends[1]) == -ENOMSG);
    CHECK(ramet_send_descriptor(ends[0], -1) == -EBADF);
    close(ends[0]);
    CHECK(ramet_receive_descriptor(ends[1]) == -ENOMSG); /* the other end is gone */
    several_come_together(sent);
    return passed();
}
