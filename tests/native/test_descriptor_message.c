/* A descriptor comes over a socket as another number of the same file, and closes with an exec. */
#include <fcntl.h>
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
    return passed();
}
