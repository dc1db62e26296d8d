/* The mark is set in a handler: the signals are those of signal(7) with the action Core. */
#define _GNU_SOURCE
#include "dump_guard.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include "child.h"
#include "epoch.h"

#define DUMPABLE 1 /* SUID_DUMP_USER */
#define FIRST_WITHOUT_MAJOR 5
#define FIRST_WITHOUT_MINOR 16

static const int dumping[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGXCPU, SIGXFSZ};

bool ramet_dump_ends_sharers(void)
{
    static int known; /* 0 not asked yet, 1 yes, -1 no */
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (answer == 0) {
        struct utsname names;
        char *end = names.release;
        uname(&names);
        long major = strtol(names.release, &end, 10);
        long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
        bool is_older = major < FIRST_WITHOUT_MAJOR || (major == FIRST_WITHOUT_MAJOR && minor < FIRST_WITHOUT_MINOR);
        answer = is_older ? 1 : -1;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer > 0;
}

/* How many have marked the memory and may not have died yet; of this process, since a fork copies no such child. */
static int *dying;

static void __attribute__((constructor)) make_count(void)
{
    static int of_all;
    dying = ramet_wiped_on_fork(sizeof *dying);
    if (dying == NULL)
        dying = &of_all;
}

static _Thread_local struct ramet_dump_guard *own;

/* Memory that was marked before, and by no such child, stays so; so does what a further thread of the child marks, which has no guard. */
static void mark_memory(struct ramet_dump_guard *guard)
{
    const bool is_first = __atomic_add_fetch(dying, 1, __ATOMIC_ACQ_REL) == 1;
    if (guard == NULL || (is_first && ramet_syscall1(__NR_prctl, PR_GET_DUMPABLE) != DUMPABLE))
        __atomic_sub_fetch(dying, 1, __ATOMIC_ACQ_REL);
    else
        guard->has_marked = true;
    ramet_syscall2(__NR_prctl, PR_SET_DUMPABLE, 0);
}

/*
 * By raw calls. The signal is blocked until this returns; the kernel then carries out its default action. A further
 * thread reads no thread-local: it may have died in malloc, which the first read of one calls.
 */
static void die_alone(int signal)
{
    const long pid = ramet_syscall0(__NR_getpid), tid = ramet_syscall0(__NR_gettid);
    mark_memory(tid == pid ? own : NULL);
    ramet_set_action(signal, (void *)SIG_DFL);
    ramet_syscall3(__NR_tgkill, pid, tid, signal);
}

void ramet_guard_dumps(struct ramet_dump_guard *guard)
{
    const stack_t stack = {.ss_sp = guard->alternate, .ss_size = RAMET_GUARD_STACK_BYTES};
    const struct sigaction marking = {.sa_handler = die_alone, .sa_flags = SA_ONSTACK};
    own = guard;
    sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof dumping / sizeof *dumping; i++) {
        struct sigaction action;
        if (sigaction(dumping[i], NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL)
            sigaction(dumping[i], &marking, NULL);
    }
}

void ramet_restore_after_dump(struct ramet_dump_guard *guard)
{
    if (!guard->has_marked)
        return;
    guard->has_marked = false;
    if (__atomic_sub_fetch(dying, 1, __ATOMIC_ACQ_REL) == 0)
        ramet_syscall2(__NR_prctl, PR_SET_DUMPABLE, DUMPABLE);
}
