/* The thread that makes a child in another's stead. */
#include "helper_thread.h"

#include <linux/errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/wait.h>

/* Which namespace the children of a thread are born in is that thread's own affair. */
static long enter(struct ramet_helper *helper)
{
    long error = 0;
    if (helper->pid_namespace != RAMET_NO_NAMESPACE)
        error = ramet_syscall2(__NR_setns, helper->pid_namespace, CLONE_NEWPID);
    helper->could_not_enter = error < 0;
    return error;
}

/* Whoever reaps the child first ends this wait as well. */
static void await_end(long pid)
{
    while (ramet_syscall5(__NR_waitid, P_PID, pid, NULL, WEXITED | WNOWAIT | __WALL, NULL) == -EINTR)
        ;
}

int ramet_run_helper(void *fn, void *arg, void *context)
{
    struct ramet_helper *helper = context;
    (void)fn, (void)arg;
    long pid = enter(helper);
    if (pid >= 0)
        pid = ramet_make_task(helper->request, helper->entry);
    if (pid < 0) {
        helper->error = (int)-pid;
        __atomic_store_n(helper->told, 0, __ATOMIC_RELEASE);
        ramet_syscall3(__NR_futex, helper->told, FUTEX_WAKE, 1);
    } else if (helper->stays)
        await_end(pid);
    return 0;
}
