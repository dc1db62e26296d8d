/* Mounts, bind tricks and root directories */
#include "attempt.h"

#include <linux/mount.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* <sys/mount.h> and <linux/mount.h> do not go together before glibc 2.37. */
int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);

#define RDONLY 1
#define NARROWED (2 | 4 | 8) /* nosuid, nodev, noexec: what a mount of the machine's has cannot be taken away */
#define REMOUNT 32
#define BIND 4096
#define MOVE 8192
#define REC 16384
#define PRIVATE (1 << 18)
#define DETACH 2
#define RECURSIVE 0x8000

/* Without a sandbox all of this goes on in mounts of its own. A confined one tries it where it is, too. */
static bool is_apart(void)
{
    if (own_namespaces(CLONE_NEWNS) == 0)
        return mount(NULL, "/", NULL, REC | PRIVATE, NULL) == 0 || is_confined();
    return is_confined();
}

#define APART()                                                                                         \
    if (!is_apart())                                                                                    \
    return untried("no mount namespace of its own")

ESCAPE(mount_tmpfs, WORD, "all", "mounts a tmpfs")
{
    APART();
    return outcome_of(mount("none", given("work"), "tmpfs", 0, NULL));
}

ESCAPE(mount_proc, WORD, "root", "mounts a /proc of its own")
{
    APART();
    return outcome_of(mount("proc", given("work"), "proc", 0, NULL));
}

ESCAPE(mount_sysfs, WORD, "root", "mounts /sys")
{
    APART();
    return outcome_of(mount("sysfs", given("work"), "sysfs", 0, NULL));
}

ESCAPE(mount_devpts, WORD, "all", "mounts terminals of its own")
{
    APART();
    return outcome_of(mount("devpts", given("work"), "devpts", 0, "newinstance"));
}

ESCAPE(mount_cgroup, WORD, "root", "mounts the control groups, whose release_agent runs outside")
{
    APART();
    return outcome_of(mount("none", given("work"), "cgroup2", 0, NULL));
}

ESCAPE(mount_mqueue, WORD, "root", "mounts the message queues")
{
    APART();
    return outcome_of(mount("none", given("work"), "mqueue", 0, NULL));
}

ESCAPE(mount_debugfs, WORD, "some: root, and CONFIG_DEBUG_FS", "mounts the kernel's debug files")
{
    APART();
    return outcome_of(mount("none", given("work"), "debugfs", 0, NULL));
}

ESCAPE(mount_bpf, WORD, "root", "mounts the files of bpf")
{
    APART();
    return outcome_of(mount("none", given("work"), "bpf", 0, NULL));
}

ESCAPE(mount_binfmt, WORD, "some: CONFIG_BINFMT_MISC", "mounts the list of interpreters of the kernel")
{
    APART();
    return outcome_of(mount("none", given("work"), "binfmt_misc", 0, NULL));
}

ESCAPE(mount_overlay, WORD, "some: overlay in user namespaces", "lays a directory over another with overlayfs")
{
    APART();
    char wish[4096];
    snprintf(wish, sizeof wish, "lowerdir=%s:%s", given("work"), given("shown"));
    return outcome_of(mount("none", given("work"), "overlay", 0, wish));
}

ESCAPE(mount_bind_over, WORD, "all", "binds a directory of its own over one that is only shown")
{
    APART();
    return outcome_of(mount(given("work"), given("shown"), NULL, BIND, NULL));
}

ESCAPE(mount_bind_of_outside, SEEN, "all", "binds a directory outside into its own")
{
    APART();
    if (mount(given("outside"), given("work"), NULL, BIND | REC, NULL) < 0)
        return outcome_of(-1);
    return printed_file(below("work", "secret"));
}

ESCAPE(mount_moved, WORD, "all", "moves a mount elsewhere")
{
    APART();
    if (!is_confined())
        mount(given("shown"), given("shown"), NULL, BIND, NULL);
    return outcome_of(mount(given("shown"), given("work"), NULL, MOVE, NULL));
}

ESCAPE(remounted_writable, WORD, "all", "mounts what is only shown again, writable")
{
    APART();
    if (!is_confined()) {
        mount(given("shown"), given("shown"), NULL, BIND, NULL);
        mount(NULL, given("shown"), NULL, BIND | REMOUNT | NARROWED | RDONLY, NULL);
    }
    return outcome_of(mount(NULL, given("shown"), NULL, BIND | REMOUNT | NARROWED, NULL));
}

ESCAPE(root_remounted_writable, WORD, "some: not where a mount of it is locked", "mounts the root directory again, writable")
{
    APART();
    return outcome_of(mount(NULL, "/", NULL, BIND | REMOUNT, NULL));
}

ESCAPE(made_writable_by_setattr, WORD, "all since 5.12", "makes what is only shown writable with mount_setattr")
{
    APART();
    if (!is_confined())
        mount(given("shown"), given("shown"), NULL, BIND, NULL);
    struct mount_attr wish = {.attr_clr = MOUNT_ATTR_RDONLY};
    return outcome_of(syscall(SYS_mount_setattr, AT_FDCWD, given("shown"), 0, &wish, sizeof wish));
}

ESCAPE(unmounted_mask, WORD, "all", "unmounts what hides a directory")
{
    APART();
    if (!is_confined())
        mount("none", given("hidden"), "tmpfs", 0, NULL);
    return outcome_of(umount2(given("hidden"), DETACH));
}

ESCAPE(unmounted_proc, WORD, "some: not where it is locked", "unmounts /proc, to see what lies below")
{
    APART();
    return outcome_of(umount2("/proc", DETACH));
}

ESCAPE(unmounted_root, WORD, "some: root", "unmounts the root directory, to see what lies below")
{
    APART();
    return outcome_of(umount2("/", DETACH));
}

ESCAPE(mount_tree_cloned, WORD, "all", "clones the tree of mounts with open_tree")
{
    APART();
    return outcome_of(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | RECURSIVE));
}

ESCAPE(mount_tree_moved, WORD, "some: a clone of its own", "attaches a cloned tree with move_mount")
{
    APART();
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, given("shown"), OPEN_TREE_CLONE);
    return outcome_of(
        tree < 0 ? -1 : syscall(SYS_move_mount, tree, "", AT_FDCWD, given("work"), MOVE_MOUNT_F_EMPTY_PATH));
}

ESCAPE(file_system_opened, WORD, "all", "begins a mount with fsopen")
{
    APART();
    return outcome_of(syscall(SYS_fsopen, "tmpfs", 0));
}

ESCAPE(file_system_picked, WORD, "all", "begins to change a mount with fspick")
{
    APART();
    return outcome_of(syscall(SYS_fspick, AT_FDCWD, "/", 0));
}

ESCAPE(host_mounts_listed, SEEN, "none: what it lists is its own", "lists mounts beyond its root directory with listmount")
{
    /* struct mnt_id_req of <linux/mount.h>, since Linux 6.8 */
    const struct {
        uint32_t size, spare;
        uint64_t mount, parameter;
    } wish = {.size = sizeof wish, .mount = 0xffffffffffffffffULL};
    uint64_t found[512];
    return outcome_of(syscall(458, &wish, found, 512, 0));
}

ESCAPE(pivot_root_anew, WORD, "some: needs a root that is a mount", "changes its root directory with pivot_root")
{
    APART();
    if (!is_confined())
        mount("none", given("work"), "tmpfs", 0, NULL);
    return outcome_of(chdir(given("work")) < 0 ? -1 : syscall(SYS_pivot_root, ".", "."));
}

ESCAPE(chroot_anew, WORD, "root", "changes its root directory with chroot")
{
    return outcome_of(chroot(given("work")));
}

static int climbed(void)
{
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0)
            return outcome_of(-1);
    if (chroot(".") < 0)
        printf("errno %s\n", strerrorname_np(errno));
    return printed_file(given("secret") + 1) == THROUGH ? THROUGH : printed_file(given("secret"));
}

ESCAPE(chroot_with_held_directory, SEEN, "root", "climbs out of a root directory with a directory held outside of it")
{
    mkdir(below("work", "cell"), 0777);
    int held = open("/", O_RDONLY | O_DIRECTORY);
    if (chroot(below("work", "cell")) < 0 && !is_confined())
        return outcome_of(-1);
    if (fchdir(held) < 0)
        return outcome_of(-1);
    return climbed();
}

ESCAPE(chroot_below_working_directory, SEEN, "root", "climbs out of a root directory that it moved below where it is")
{
    mkdir(below("work", "cell"), 0777);
    if (chdir(given("work")) < 0 || (chroot("cell") < 0 && !is_confined()))
        return outcome_of(-1);
    return climbed();
}

ESCAPE(mount_namespace_of_its_own, SEEN, "all", "binds a directory outside in a user namespace below")
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return outcome_of(-1);
    mount(given("outside"), given("work"), NULL, BIND, NULL);
    return printed_file(below("work", "secret"));
}

ESCAPE(swap_file, WORD, "root", "asks the kernel to swap to a file of its own")
{
    syscall(SYS_swapon, below("work", "there-is-none"), 0);
    return errno == ENOENT ? THROUGH : outcome_of(-1);
}

ESCAPE(accounting_file, WORD, "some: root, and CONFIG_BSD_PROCESS_ACCT", "has the kernel write what all processes did to a file of its own")
{
    syscall(SYS_acct, below("work", "there-is-none"));
    return errno == ENOENT ? THROUGH : outcome_of(-1);
}
