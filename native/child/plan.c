/* The child carries out its plan. Nothing here calls libc, and nothing here decides anything. */
#include "plan.h"

#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/sockios.h>
#include <linux/time_types.h>

#include "descriptor_message.h"
#include "futex_word.h"
#include "listing.h"
#include "steps.h"

#define EXIT_PARENT_DIED (128 + SIGKILL)
#define LOOK_SECONDS 1 /* between two looks at whether the parent lives */

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

/* The kernel's struct ifreq and its constants; <linux/if.h> includes libc's headers, which exclude the kernel's signals. */
#define AF_INET 2
#define SOCK_DGRAM 2
#define IFF_UP 0x1
#define IFF_RUNNING 0x40

struct interface_request {
    char name[16];
    short flags;
    char rest[22];
};

_Static_assert(sizeof(struct interface_request) == 40, "struct ifreq");

/* Each system call takes its arguments in the order of the step's operands. */
static const long numbers[RAMET_OPERATIONS] = {
#define RAMET_CALL(name, call) [RAMET_##name] = __NR_##call,
#define RAMET_STEP(name) [RAMET_##name] = -1,
#include "steps.def"
#undef RAMET_CALL
#undef RAMET_STEP
};

static long close_descriptor(long descriptor)
{
    return ramet_syscall1(__NR_close, descriptor);
}

/* The kernel has two words of 32 bits for each of the three sets; here it is one number. */
struct capability_sets {
    uint64_t effective, permitted, inheritable;
};

static struct __user_cap_header_struct own_capabilities(void)
{
    return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

static uint64_t joined(uint32_t low, uint32_t high)
{
    return low | (uint64_t)high << 32;
}

static long read_capabilities(struct capability_sets *sets)
{
    struct __user_cap_header_struct header = own_capabilities();
    struct __user_cap_data_struct data[2];
    long error = ramet_syscall2(__NR_capget, &header, data);
    if (error < 0)
        return error;
    sets->effective = joined(data[0].effective, data[1].effective);
    sets->permitted = joined(data[0].permitted, data[1].permitted);
    sets->inheritable = joined(data[0].inheritable, data[1].inheritable);
    return 0;
}

static long write_capabilities(const struct capability_sets *sets)
{
    struct __user_cap_header_struct header = own_capabilities();
    struct __user_cap_data_struct data[2];
    for (int half = 0; half < 2; half++)
        data[half] = (struct __user_cap_data_struct){
            .effective = (uint32_t)(sets->effective >> 32 * half),
            .permitted = (uint32_t)(sets->permitted >> 32 * half),
            .inheritable = (uint32_t)(sets->inheritable >> 32 * half),
        };
    return ramet_syscall2(__NR_capset, &header, data);
}

/* What is permitted is also made effective: a change of the uid has cleared the effective set. */
long ramet_step_CAPABILITIES(const uintptr_t *operand, struct ramet_launch *launch)
{
    struct capability_sets sets;
    (void)launch;
    long error = read_capabilities(&sets);
    if (error < 0)
        return error;
    if (operand[1] != RAMET_UNCHANGED)
        sets.inheritable = operand[1];
    sets.inheritable |= operand[2];
    if (operand[0] != RAMET_UNCHANGED)
        sets.permitted = operand[0];
    sets.effective = sets.permitted;
    return write_capabilities(&sets);
}

long ramet_step_AMBIENT(const uintptr_t *operand, struct ramet_launch *launch)
{
    (void)launch;
    long error = ramet_syscall5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (long capability = 0; error >= 0 && capability < 64; capability++)
        if (operand[0] >> capability & 1)
            error = ramet_syscall5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    return error;
}

/* The kernel knows the first, and says with EINVAL where it has no more. */
long ramet_step_BOUNDING_SET(const uintptr_t *operand, struct ramet_launch *launch)
{
    (void)launch;
    for (long capability = 0; capability < 64; capability++) {
        long error = operand[0] >> capability & 1 ? 0 : ramet_syscall5(__NR_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
        if (error == -EINVAL && capability > 0)
            break;
        if (error < 0)
            return error;
    }
    return 0;
}

static bool is_missing(long error)
{
    return error == -ENOSYS || error == -EPERM; /* close_range itself has no EPERM: a seccomp filter does */
}

static bool close_listed(unsigned long first, unsigned long last)
{
    struct ramet_listing listing;
    ramet_listing_open(&listing, "/proc/self/fd");
    for (long number; (number = ramet_listing_next(&listing)) >= 0;)
        if ((unsigned long)number >= first && (unsigned long)number <= last && number != listing.descriptor)
            close_descriptor(number);
    return ramet_listing_close(&listing);
}

static long close_each(unsigned long first, unsigned long last)
{
    struct rlimit limit = {0};
    ramet_syscall4(__NR_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
    for (unsigned long number = first; number <= last && number < limit.rlim_max; number++)
        close_descriptor((long)number);
    return 0;
}

/* Linux before 5.9 has no close_range, and some seccomp filters hide it: then /proc lists what is open, if it is mounted. */
static long close_slowly(unsigned long first, unsigned long last)
{
    return close_listed(first, last) ? 0 : close_each(first, last);
}

long ramet_step_CLOSE_RANGE(const uintptr_t *operand, struct ramet_launch *launch)
{
    (void)launch;
    long error = ramet_syscall3(__NR_close_range, operand[0], operand[1], 0);
    return is_missing(error) ? close_slowly(operand[0], operand[1]) : error;
}

/* The clone call shares the table, which costs nothing. This makes a copy of it, of no more than is needed. */
long ramet_step_OWN_FILES(const uintptr_t *operand, struct ramet_launch *launch)
{
    uintptr_t first = operand[launch->fetches ? 1 : 0];
    long error = ramet_syscall3(__NR_close_range, first, ~0U, CLOSE_RANGE_UNSHARE);
    if (!is_missing(error))
        return error;
    error = ramet_syscall1(__NR_unshare, CLONE_FILES);
    return error < 0 ? error : close_slowly(first, ~0U);
}

/* A duplicate above all descriptors that the program is to have. Where RLIMIT_NOFILE ends below them the kernel
   says EINVAL, not that none is free. */
static long save(long descriptor, const uintptr_t *slot_and_lowest, struct ramet_launch *launch)
{
    long saved = ramet_syscall3(__NR_fcntl, descriptor, F_DUPFD_CLOEXEC, slot_and_lowest[1]);
    if (saved == -EINVAL)
        saved = -EMFILE;
    launch->slots[slot_and_lowest[0]] = (int)saved;
    return saved;
}

long ramet_keep_above(long own, const uintptr_t *slot_and_lowest, struct ramet_launch *launch)
{
    long saved = save(own, slot_and_lowest, launch);
    close_descriptor(own);
    return saved;
}

long ramet_step_OPEN(const uintptr_t *operand, struct ramet_launch *launch)
{
    long opened = ramet_syscall4(__NR_openat, AT_FDCWD, operand[0], operand[1] | O_CLOEXEC, 0);
    if (opened < 0)
        return opened;
    return ramet_keep_above(opened, &operand[2], launch);
}

long ramet_step_SAVE(const uintptr_t *operand, struct ramet_launch *launch)
{
    return save((long)operand[0], &operand[1], launch);
}

/* The maker read its pid in its own pid namespace; getppid() reads it in ours: they are equal in one namespace. */
static long open_maker(const struct ramet_launch *launch)
{
    if (ramet_syscall0(__NR_getppid) != launch->maker_process)
        return -ESRCH;
    long maker = ramet_syscall2(__NR_pidfd_open, launch->maker, PIDFD_THREAD);
    if (maker == -EINVAL && launch->maker == launch->maker_process) /* before 6.9 */
        maker = ramet_syscall2(__NR_pidfd_open, launch->maker, 0);
    return maker;
}

/* A copy of the table would cost all that is open below this descriptor, to get this one: so it is fetched by itself. */
long ramet_step_FETCH(const uintptr_t *operand, struct ramet_launch *launch)
{
    launch->slots[operand[1]] = (int)operand[0];
    if (!launch->fetches)
        return 0;
    long maker = open_maker(launch);
    if (maker < 0)
        return maker;
    long fetched = ramet_syscall3(__NR_pidfd_getfd, maker, operand[0], 0);
    close_descriptor(maker);
    return fetched < 0 ? fetched : ramet_keep_above(fetched, &operand[1], launch);
}

long ramet_step_RAISE(const uintptr_t *operand, struct ramet_launch *launch)
{
    return ramet_keep_above(launch->slots[operand[0]], operand, launch);
}

long ramet_step_RESTORE(const uintptr_t *operand, struct ramet_launch *launch)
{
    return ramet_syscall3(__NR_dup3, launch->slots[operand[0]], operand[1], 0);
}

/* For who shares the table: the descriptor stays when this task ends. */
long ramet_step_KEEP(const uintptr_t *operand, struct ramet_launch *launch)
{
    long kept = ramet_syscall3(__NR_dup3, launch->slots[operand[0]], operand[1], O_CLOEXEC);
    close_descriptor(launch->slots[operand[0]]);
    return kept;
}

long ramet_step_WRITE(const uintptr_t *operand, struct ramet_launch *launch)
{
    (void)launch;
    long file = ramet_syscall4(__NR_openat, operand[0], operand[1], O_WRONLY | O_CLOEXEC, 0);
    if (file < 0)
        return file;
    long written = ramet_syscall3(__NR_write, file, operand[2], operand[3]);
    close_descriptor(file);
    return written;
}

long ramet_step_SYSCALL(const uintptr_t *operand, struct ramet_launch *launch)
{
    (void)launch;
    return ramet_syscall5((long)operand[0], operand[1], operand[2], operand[3], operand[4], operand[5]);
}

/* What a call returns is told in the place of an errno: only a step that fails is told of. */
long ramet_step_ASK(const uintptr_t *operand, struct ramet_launch *launch)
{
    long answer = ramet_step_SYSCALL(operand, launch);
    return answer < 0 ? answer : -(RAMET_ANSWERED + answer);
}

long ramet_step_LOOPBACK(const uintptr_t *operand, struct ramet_launch *launch)
{
    struct interface_request request = {.name = "lo", .flags = IFF_UP | IFF_RUNNING};
    (void)operand, (void)launch;
    long channel = ramet_syscall3(__NR_socket, AF_INET, SOCK_DGRAM | O_CLOEXEC, 0);
    if (channel < 0)
        return channel;
    long error = ramet_syscall3(__NR_ioctl, channel, SIOCSIFFLAGS, &request);
    close_descriptor(channel);
    return error;
}

long ramet_step_FOREGROUND(const uintptr_t *operand, struct ramet_launch *launch)
{
    (void)launch;
    int group = (int)ramet_syscall1(__NR_getpgid, 0);
    return ramet_syscall3(__NR_ioctl, operand[0], TIOCSPGRP, &group);
}

long ramet_step_SIGNAL_ACTION(const uintptr_t *operand, struct ramet_launch *launch)
{
    (void)launch;
    return ramet_set_action((int)operand[0], (void *)operand[1]);
}

long ramet_step_SIGNAL_MASK(const uintptr_t *operand, struct ramet_launch *launch)
{
    launch->mask = operand[0];
    return 0;
}

static void fail_at(struct ramet_launch *launch, size_t step, long error)
{
    launch->error = (int)-error;
    __atomic_store_n(&launch->failed_step, (int)step, __ATOMIC_RELEASE);
}

/* When a thread ends, or execs, the kernel clears its word before it sends the children their parent-death signal. */
static void end_with_parent(const struct ramet_launch *launch)
{
    if (launch->parent_word != NULL && __atomic_load_n(launch->parent_word, __ATOMIC_ACQUIRE) == 0)
        ramet_syscall1(__NR_exit_group, EXIT_PARENT_DIED);
}

static long set_parent_death_signal(const struct ramet_launch *launch, long signal)
{
    long error = ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, signal);
    if (error >= 0)
        end_with_parent(launch);
    return error;
}

/* For the time between two looks at the parent, at most. */
static void wait_shortly(int *word, int value)
{
    struct __kernel_timespec pause = {.tv_sec = LOOK_SECONDS};
    ramet_futex_wait(word, value, &pause);
}

/* getppid() is 0 where the parent is in no pid namespace that we can see. */
static bool has_another_parent(const struct ramet_launch *launch)
{
    long parent = ramet_syscall0(__NR_getppid);
    return parent != 0 && parent != launch->maker_process;
}

/* Before that no parent-death signal may be set: it would come with the end of the helper thread. */
static void await_main_thread_as_parent(struct ramet_launch *launch)
{
    while (__atomic_load_n(&launch->parent_ends, __ATOMIC_ACQUIRE) != 0) {
        wait_shortly(&launch->parent_ends, 1);
        end_with_parent(launch);
        if (has_another_parent(launch))
            ramet_syscall1(__NR_exit_group, EXIT_PARENT_DIED);
    }
}

long ramet_step_PARENT_DEATH(const uintptr_t *operand, struct ramet_launch *launch)
{
    return set_parent_death_signal(launch, (long)operand[0]);
}

/*
 * A parent that dies opens no gate: so a child that waits here dies with it. A parent that execs opens none either,
 * and when its main thread execs no parent-death signal comes: hence a look at its word every second.
 */
long ramet_step_GATE(const uintptr_t *operand, struct ramet_launch *launch)
{
    int number = (int)operand[0], signal = 0, opened;
    ramet_syscall2(__NR_prctl, PR_GET_PDEATHSIG, &signal);
    long error = set_parent_death_signal(launch, SIGKILL);
    if (error < 0)
        return error;
    if (operand[1])
        ramet_set_signal_mask(launch->mask);
    __atomic_store_n(&launch->waits_at, number, __ATOMIC_RELAXED);
    ramet_futex_set(&launch->arrived, number);
    while ((opened = __atomic_load_n(&launch->opened, __ATOMIC_ACQUIRE)) < number) {
        wait_shortly(&launch->opened, opened);
        end_with_parent(launch);
    }
    __atomic_store_n(&launch->waits_at, 0, __ATOMIC_RELEASE);
    return ramet_syscall2(__NR_prctl, PR_SET_PDEATHSIG, signal);
}

/* The plan that follows is in memory that both see. With the parent the init of the namespace ends, and so this task. */
long ramet_step_AWAIT(const uintptr_t *operand, struct ramet_launch *launch)
{
    __atomic_store_n(&launch->waits_at, RAMET_AWAITS, __ATOMIC_RELAXED);
    ramet_futex_set(&launch->arrived, RAMET_AWAITS);
    const long error = ramet_receive_descriptors((int)operand[0], launch->slots);
    if (error == RAMET_NO_MESSAGE)
        ramet_syscall1(__NR_exit_group, EXIT_PARENT_DIED);
    close_descriptor((long)operand[0]);
    launch->plan = launch->next;
    __atomic_store_n(&launch->waits_at, 0, __ATOMIC_RELEASE);
    if (error >= 0)
        ramet_do_steps(launch);
    else
        fail_at(launch, 0, error);
    ramet_syscall1(__NR_exit_group, RAMET_NOT_LAUNCHED);
    return 0;
}

/*
 * Each path is tried, as the shells do. The error to report is the first that is not ENOENT or ENOTDIR; EACCES only
 * where there is no other, since it may be about a directory.
 */
long ramet_step_EXEC(const uintptr_t *operand, struct ramet_launch *launch)
{
    long reported = 0, error = -ENOENT;
    ramet_set_signal_mask(launch->mask);
    for (const char *const *path = (const char *const *)operand[0]; *path != NULL; path++) {
        error = ramet_syscall3(__NR_execve, *path, operand[1], operand[2]);
        if ((reported == 0 || reported == -EACCES) && error != -ENOENT && error != -ENOTDIR)
            reported = error;
    }
    return reported != 0 ? reported : error;
}

static long (*const functions[RAMET_OPERATIONS])(const uintptr_t *operand, struct ramet_launch *launch) = {
#define RAMET_CALL(name, call) [RAMET_##name] = NULL,
#define RAMET_STEP(name) [RAMET_##name] = ramet_step_##name,
#include "steps.def"
#undef RAMET_CALL
#undef RAMET_STEP
};

static long do_step(const struct ramet_step *step, struct ramet_launch *launch)
{
    const uintptr_t *operand = step->operands;
    if (functions[step->operation] != NULL)
        return functions[step->operation](operand, launch);
    return ramet_syscall5(numbers[step->operation], operand[0], operand[1], operand[2], operand[3], operand[4]);
}

bool ramet_do_steps_from(size_t first, struct ramet_launch *launch)
{
    const struct ramet_plan *plan = launch->plan;
    for (size_t i = first; i < plan->count; i++) {
        launch->at = i;
        long result = do_step(&plan->steps[i], launch);
        if (result < 0) {
            fail_at(launch, i, result);
            return false;
        }
    }
    return true;
}

bool ramet_do_steps(struct ramet_launch *launch)
{
    return ramet_do_steps_from(0, launch);
}

int ramet_run_plan(void *context_of_launch, void *unused, void *context)
{
    struct ramet_launch *launch = context_of_launch;
    (void)unused, (void)context;
    if (launch->arrived == RAMET_NOT_MADE)
        ramet_futex_set(&launch->arrived, RAMET_MADE);
    if (launch->clear_handlers)
        ramet_clear_handlers();
    await_main_thread_as_parent(launch);
    ramet_do_steps(launch);
    return RAMET_NOT_LAUNCHED;
}
