/* A process that ends with all that it has started, where neither a namespace nor a cgroup sees to it. */
#pragma once

#include <stdbool.h>

/*
 * From here on this process is a subreaper, so that what it has started stays below it, and that signal ends it by SIGKILL, with all
 * of that. with_parent: the signal comes with the end of the thread that made this process, too. Where not all can be found or
 * killed, as what has become another user's, this process goes on as long as its parent lives, which can see what is left. A signal
 * that ends a process without a handler ends a program that this one executes. 0, or -errno.
 */
long ramet_end_tree_at(int signal, bool with_parent);
