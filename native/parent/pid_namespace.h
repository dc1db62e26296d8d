/* A new pid namespace for children of this process, or of its parent. */
#pragma once

/*
 * Makes the init of a new pid namespace, as a child of the calling process's parent: a task in this memory. It ends
 * with that parent and, when this process is gone, as soon as nothing else is in the namespace. Returns its pid or
 * -errno, and in *pidfd a descriptor (O_CLOEXEC) of it, which is the caller's. One thread at a time may call it.
 */
long ramet_new_pid_namespace(int *pidfd);
