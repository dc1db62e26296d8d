/* What follows from a request, whichever way its child is made. */
#include "clone_request.h"

#include <linux/sched.h>
#include <unistd.h>

#include "dump_guard.h"
#include "watched_children.h"

long core_exit_call(const struct core_request *request)
{
    return request->kernel.args.flags & CLONE_THREAD ? __NR_exit : __NR_exit_group;
}

bool core_clears_handlers(const struct core_request *request)
{
    return !(request->kernel.args.flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND));
}

bool core_guards_dumps(const struct core_request *request)
{
    return !(request->kernel.args.flags & CLONE_SIGHAND) && ramet_dump_ends_sharers();
}

/*
 * SIGHAND: the handler would be the caller's as well. THREAD: ends with the process anyway. PARENT:
 * the parent is another process. NEWPID: the child cannot see its parent's pid.
 */
pid_t core_owner(const struct core_request *request)
{
    return request->kernel.args.flags & (CLONE_SIGHAND | CLONE_THREAD | CLONE_PARENT | CLONE_NEWPID) ? 0 : getpid();
}

/* Whether a watchdog must kill it: the child shares the memory, is no thread, and gets no parent-death signal. */
static bool needs_watchdog(const struct core_request *request)
{
    uint64_t flags = request->kernel.args.flags;
    return !(flags & (CLONE_THREAD | CLONE_PARENT_SETTID)) && !request->kernel.legacy && core_owner(request) == 0;
}

long core_watch(struct core_request *request, struct ramet_clone_args *args, int **watched)
{
    long error = 0;
    *watched = needs_watchdog(request) ? ramet_watched_place(&error) : NULL;
    if (*watched != NULL)
        ramet_set_address(args, CLONE_PARENT_SETTID, *watched);
    if (error < 0)
        request->lacks = "watchdog";
    return error;
}

PyObject *core_raise_refused(const struct core_request *request, long error)
{
    return request->lacks == NULL ? core_raise_errno(error) : core_raise_no_helper(error, request->lacks);
}

