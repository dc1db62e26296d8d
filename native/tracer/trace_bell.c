/* The child waits on a futex in the memory that it shares, and ends with the thread that made it. */
#include "trace_bell.h"

#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>

#include "futex.h"

#define MADE 1
#define WAITS 2

static int wait_until_rung(void *fn, void *arg, void *context)
{
    struct ramet_bell *bell = context;
    (void)fn, (void)arg;
    ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    ramet_futex_set(&bell->stage, WAITS);
    if (ramet_syscall0(__NR_getppid) == bell->maker) /* else its maker has ended before that */
        ramet_futex_await_change(&bell->rung, 0);
    return 0;
}

long ramet_bell_hang(struct ramet_bell *bell)
{
    const struct ramet_entry entry = {wait_until_rung, bell, NULL, NULL, __NR_exit_group};
    struct ramet_request request = {.size = sizeof request.args, .legacy = true};
    request.args.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_CHILD_CLEARTID;
    request.args.child_tid = (uintptr_t)&bell->stage;
    request.args.stack = (uintptr_t)bell->stack;
    request.args.stack_size = sizeof bell->stack;
    bell->stage = MADE;
    bell->maker = (int)ramet_syscall0(__NR_getpid);
    ramet_sigset mask = ramet_block_signals(); /* the bell keeps them blocked: no handler runs in it */
    const long pid = ramet_make_task(&request, &entry);
    ramet_set_signal_mask(mask);
    bell->pid = pid < 0 ? 0 : (int)pid;
    if (pid < 0)
        return pid;
    ramet_futex_await_change(&bell->stage, MADE); /* the thread may end only when the bell hears of it */
    return 0;
}

void ramet_bell_ring(struct ramet_bell *bell)
{
    ramet_futex_set(&bell->rung, 1);
}
