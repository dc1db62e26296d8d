/*
 * What a hostile sender has put into a Unix socket is looked at, and dropped, in another table of descriptors than this
 * process's: that of a thread which lives no longer than that.
 *
 * A descriptor that is closed in a table takes with it all POSIX locks that the table's owner has on that file, by whatever
 * descriptor (fcntl(2); fs/open.c, filp_close). And a close() may wait: for the peer of a socket that lingers, for
 * who serves a file of FUSE. A thread that ends does not wait for the former (net/ipv4/af_inet.c, inet_release, PF_EXITING).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum ramet_look {
    RAMET_SEALED_MEMORY, /* each descriptor is of a memfd that nobody can change or shorten any more */
    RAMET_OTHER_FILES,   /* some are of something else */
    RAMET_TOO_MANY,
    RAMET_NO_ROOM,  /* not all had room in a table of this process */
    RAMET_NOT_THERE, /* any more: somebody else reads the socket, or has closed it */
};

/*
 * What comes with the next so many bytes of the socket; they are read into data, and stay in the socket. Nothing of the sender's
 * can delay the answer. -errno where no thread can be made, or none with a table of its own.
 */
int ramet_look_at_descriptors(int socket, void *data, size_t length, size_t most);

/*
 * Closes the socket, which may be the end of what is in it, without waiting for that. 0, or an errno where there is no thread:
 * nothing was closed.
 */
int ramet_close_unread(int socket);
