/* The init of a pid namespace. */
#include "namespace_init.h"

#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "child.h"
#include "close_files.h"

#define POLL_IN 1

/* From here on the kernel reaps who is reparented to this process; some may have been, and have ended, before. */
static void have_orphans_reaped(void)
{
    ramet_set_action(SIGCHLD, (void *)SIG_IGN);
    while (ramet_syscall4(__NR_wait4, -1, NULL, WNOHANG | __WALL, NULL) > 0)
        ;
}

int ramet_run_namespace_init(void *fn, void *arg, void *context)
{
    struct pollfd watched = {.fd = (int)(intptr_t)context, .events = POLL_IN};
    (void)fn, (void)arg;
    have_orphans_reaped();
    if (watched.fd < 0)
        ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    ramet_syscall2(__NR_prctl, PR_SET_NAME, "ramet-init");
    ramet_close_all_but(watched.fd);
    while (ramet_syscall5(__NR_ppoll, &watched, 1, NULL, NULL, 0) <= 0) /* a debugger may interrupt it */
        ;
    return 0;
}
