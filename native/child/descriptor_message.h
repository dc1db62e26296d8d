/* A descriptor sent over a unix socket: unix(7) SCM_RIGHTS. */
#pragma once

/* Both return a negative errno when it failed. The one that is received is the caller's. */
long ramet_send_descriptor(int socket, int descriptor);
int ramet_receive_descriptor(int socket);

#define RAMET_MOST_SENT 32 /* descriptors in a message */

/*
 * All descriptors of a message, whose one byte is their number, into an array of RAMET_MOST_SENT; returns how many. -EMFILE
 * when some had no room in the table, RAMET_NO_MESSAGE when the other side is gone.
 */
long ramet_receive_descriptors(int socket, int *descriptors);

#define RAMET_NO_MESSAGE (-4096) /* below all errnos */
