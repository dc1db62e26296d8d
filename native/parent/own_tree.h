/* A process that ends with all that it has started, where neither a namespace nor a cgroup sees to it. */
#pragma once

#include <stdbool.h>

/*
 * From here on this process is a subreaper, so that what it has started stays below it, and that signal ends it by SIGKILL, with all
 * of that. with_parent: the signal comes with the end of the thread that made this process, too. What has become another user's
 * cannot be killed: then this process goes on, as long as its parent lives, who can see what is left. A signal that ends a process
 * without a handler ends a program that this one executes. 0, or -errno.
 */
long ramet_end_tree_at(int signal, bool with_parent);
