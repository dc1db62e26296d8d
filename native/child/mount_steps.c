/* The steps that take a tree of mounts, change it while nobody sees it, and put it in its place. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>

#include "steps.h"

long ramet_step_OPEN_TREE(const uintptr_t *operand, struct ramet_launch *launch)
{
    long tree = ramet_syscall3(__NR_open_tree, AT_FDCWD, operand[0], operand[1] | OPEN_TREE_CLOEXEC);
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
