/* The steps after which less is allowed: Landlock's rules and a seccomp filter. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>

#include "descriptor_message.h"
#include "steps.h"

/* Ports are of a younger kernel's headers: struct landlock_net_port_attr. */
#define RULE_NET_PORT 2

struct port_rule {
    uint64_t rights, port;
};

static long open_place(const char *path, bool without_links)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    if (without_links)
        return ramet_syscall4(__NR_openat2, AT_FDCWD, path, &how, sizeof how);
    return ramet_syscall4(__NR_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
}

static long allow_below(long ruleset, const char *path, uint64_t rights, bool without_links)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};
    long file = open_place(path, without_links);
    if (file < 0)
        return file;
    rule.parent_fd = (int)file;
    long error = ramet_syscall4(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    ramet_syscall1(__NR_close, file);
    return error;
}

static long add_rules(long ruleset, const uintptr_t *operand)
{
    const char *const *path = (const char *const *)operand[1];
    const uint64_t *rights = (const uint64_t *)operand[2];
    const struct port_rule *port = (const struct port_rule *)operand[3];
    long error = 0;
    for (; error >= 0 && *path != NULL; path++, rights++)
        error = allow_below(ruleset, *path, *rights, operand[5] != 0);
    for (uintptr_t i = 0; error >= 0 && i < operand[4]; i++)
        error = ramet_syscall4(__NR_landlock_add_rule, ruleset, RULE_NET_PORT, &port[i], 0);
    return error;
}

/* The first word of the buffer is the size of the structure that follows it. */
long ramet_step_LANDLOCK(const uintptr_t *operand, struct ramet_launch *launch)
{
    const uint64_t *sized = (const uint64_t *)operand[0];
    (void)launch;
    long ruleset = ramet_syscall3(__NR_landlock_create_ruleset, &sized[1], sized[0], 0);
    if (ruleset < 0)
        return ruleset;
    long error = add_rules(ruleset, operand);
    if (error >= 0)
        error = ramet_syscall2(__NR_landlock_restrict_self, ruleset, 0);
    ramet_syscall1(__NR_close, ruleset);
    return error;
}

/* The init of the namespace listens, which shares no table of descriptors with this task. */
static long send_listener(int listener, int socket)
{
    long sent = ramet_send_descriptor(socket, listener);
    ramet_syscall1(__NR_close, listener);
    ramet_syscall1(__NR_close, socket);
    return sent;
}

long ramet_step_SECCOMP(const uintptr_t *operand, struct ramet_launch *launch)
{
    const struct sock_fprog program = {.len = (unsigned short)operand[1], .filter = (struct sock_filter *)operand[0]};
    const int socket = (int)operand[3];
    (void)launch;
    long made = ramet_syscall3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, operand[2], &program);
    return made < 0 || socket < 0 ? made : send_listener((int)made, socket);
}
