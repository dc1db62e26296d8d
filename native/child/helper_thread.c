/* The thread that makes a child for another thread. */
#include "helper_thread.h"

#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "futex_word.h"

/* The pid namespace of its children is an attribute of each thread. */
static long enter(struct ramet_helper *helper)
{
    long error = 0;
    if (helper->pid_namespace != RAMET_NO_NAMESPACE)
        error = ramet_syscall2(__NR_setns, helper->pid_namespace, CLONE_NEWPID);
    helper->could_not_enter = error < 0;
    return error;
}

/* This ends, too, when another thread reaps the child first. */
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
        ramet_futex_set(helper->arrived, 0);
    } else if (helper->stays)
        await_end(pid);
    return 0;
}
