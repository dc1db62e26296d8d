/* The child walks its plan. Nothing here is libc's, and nothing here decides anything. */
#include "plan.h"

#include <linux/close_range.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/resource.h>
#include <linux/signal.h>

#define EXIT_NOT_LAUNCHED 127

typedef long (*step_function)(const uintptr_t *operand, int *slots);

static long step_unshare(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_syscall1(__NR_unshare, operand[0]);
}

static long step_signal_default(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_set_default((int)operand[0]);
}

static long step_setsid(const uintptr_t *operand, int *slots)
{
    (void)operand, (void)slots;
    return ramet_syscall0(__NR_setsid);
}

static long step_setpgid(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_syscall2(__NR_setpgid, 0, operand[0]);
}

static long step_umask(const uintptr_t *operand, int *slots)
{
    (void)slots;
    ramet_syscall1(__NR_umask, operand[0]);
    return 0;
}

static long step_chdir(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_syscall1(__NR_chdir, operand[0]);
}

static long step_setgroups(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_syscall2(__NR_setgroups, operand[0], operand[1]);
}

static long step_setgid(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_syscall3(__NR_setresgid, operand[0], operand[0], operand[0]);
}

static long step_setuid(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_syscall3(__NR_setresuid, operand[0], operand[0], operand[0]);
}

static long step_save(const uintptr_t *operand, int *slots)
{
    long saved = ramet_syscall3(__NR_fcntl, operand[0], F_DUPFD_CLOEXEC, operand[2]);
    slots[operand[1]] = (int)saved;
    return saved;
}

static long step_restore(const uintptr_t *operand, int *slots)
{
    return ramet_syscall3(__NR_dup3, slots[operand[0]], operand[1], 0);
}

static long step_dup(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_syscall3(__NR_dup3, operand[0], operand[1], 0);
}

static long step_inherit(const uintptr_t *operand, int *slots)
{
    (void)slots;
    return ramet_syscall3(__NR_fcntl, operand[0], F_SETFD, 0);
}

/* Before 5.9 there is no close_range: one by one, up to the limit. */
static long close_each(unsigned int first, unsigned int last)
{
    struct rlimit limit = {0};
    ramet_syscall4(__NR_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
    if (limit.rlim_max <= last)
        last = (unsigned int)limit.rlim_max;
    for (unsigned int descriptor = first; descriptor < last; descriptor++)
        ramet_syscall1(__NR_close, descriptor);
    return 0;
}

static long step_close_range(const uintptr_t *operand, int *slots)
{
    (void)slots;
    long error = ramet_syscall3(__NR_close_range, operand[0], operand[1], 0);
    return error == -ENOSYS ? close_each((unsigned int)operand[0], (unsigned int)operand[1]) : error;
}

/*
 * Every place is tried, as the shells do; the error to tell is the first that is more than "not
 * here", else the last.
 */
static long step_exec(const uintptr_t *operand, int *slots)
{
    long told = 0, error = -ENOENT;
    (void)slots;
    for (const char *const *path = (const char *const *)operand[0]; *path != NULL; path++) {
        error = ramet_syscall3(__NR_execve, *path, operand[1], operand[2]);
        if (told == 0 && error != -ENOENT && error != -ENOTDIR)
            told = error;
    }
    return told != 0 ? told : error;
}

static const step_function functions[RAMET_OPERATIONS] = {
    [RAMET_UNSHARE] = step_unshare,
    [RAMET_SIGNAL_DEFAULT] = step_signal_default,
    [RAMET_SETSID] = step_setsid,
    [RAMET_SETPGID] = step_setpgid,
    [RAMET_UMASK] = step_umask,
    [RAMET_CHDIR] = step_chdir,
    [RAMET_SETGROUPS] = step_setgroups,
    [RAMET_SETGID] = step_setgid,
    [RAMET_SETUID] = step_setuid,
    [RAMET_SAVE] = step_save,
    [RAMET_RESTORE] = step_restore,
    [RAMET_DUP] = step_dup,
    [RAMET_INHERIT] = step_inherit,
    [RAMET_CLOSE_RANGE] = step_close_range,
    [RAMET_EXEC] = step_exec,
};

static void wait_at_gate(struct ramet_launch *launch)
{
    if (launch->gate == NULL)
        return;
    __atomic_store_n(launch->arrived, RAMET_ARRIVED, __ATOMIC_RELEASE);
    ramet_syscall3(__NR_futex, launch->arrived, FUTEX_WAKE, 1);
    ramet_gate_wait(launch->gate);
}

int ramet_run_plan(void *context_of_launch, void *unused, void *context)
{
    struct ramet_launch *launch = context_of_launch;
    const struct ramet_plan *plan = launch->plan;
    (void)unused, (void)context;
    if (launch->clear_handlers)
        ramet_clear_handlers();
    for (size_t i = 0; i < plan->count; i++) {
        const struct ramet_step *step = &plan->steps[i];
        if (step->operation == RAMET_EXEC) {
            wait_at_gate(launch);
            ramet_set_signal_mask(launch->mask);
        }
        long result = functions[step->operation](step->operands, launch->slots);
        if (result < 0) {
            launch->error = (int)-result;
            __atomic_store_n(&launch->failed_step, (int)i, __ATOMIC_RELEASE);
            return EXIT_NOT_LAUNCHED;
        }
    }
    return EXIT_NOT_LAUNCHED;
}
