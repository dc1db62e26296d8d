/* A descriptor sent over a unix socket: unix(7) SCM_RIGHTS. */
#pragma once

/* Both return a negative errno when it failed. The one that is received is the caller's. */
long ramet_send_descriptor(int socket, int descriptor);
int ramet_receive_descriptor(int socket);
