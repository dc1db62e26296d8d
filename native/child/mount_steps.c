/* The steps that take a tree of mounts, change it while nobody sees it, and put it in its place. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>

#include "steps.h"

/* Others may make a link of a name at any time: the path is looked up once, and what was found is taken. */
static long open_without_links(uintptr_t path, uintptr_t flags, uintptr_t tree_flags)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags, .resolve = RESOLVE_NO_SYMLINKS};
    long found = ramet_syscall4(__NR_openat2, AT_FDCWD, path, &how, sizeof how);
    if (found < 0)
        return found;
    long tree = ramet_syscall3(__NR_open_tree, found, "", tree_flags | AT_EMPTY_PATH);
    ramet_syscall1(__NR_close, found);
    return tree;
}

long ramet_step_OPEN_TREE(const uintptr_t *operand, struct ramet_launch *launch)
{
    uintptr_t flags = operand[1] | OPEN_TREE_CLOEXEC;
    long tree = operand[4] ? open_without_links(operand[0], operand[5], flags)
                           : ramet_syscall3(__NR_open_tree, AT_FDCWD, operand[0], flags);
    return tree < 0 ? tree : ramet_keep_above(tree, &operand[2], launch);
}

long ramet_step_SET_TREE(const uintptr_t *operand, struct ramet_launch *launch)
{
    return ramet_syscall5(__NR_mount_setattr, launch->slots[operand[0]], "", operand[1] | AT_EMPTY_PATH, operand[2], operand[3]);
}

long ramet_step_MOVE_MOUNT(const uintptr_t *operand, struct ramet_launch *launch)
{
    return ramet_syscall5(__NR_move_mount, launch->slots[operand[0]], "", AT_FDCWD, operand[1], MOVE_MOUNT_F_EMPTY_PATH);
}
