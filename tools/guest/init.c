/*
 * Pid 1 of a guest, in its initramfs: loads the modules, mounts the host's root directory read-only, runs
 * /bin/sh on a script of the host's, and turns the machine off when that has ended.
 *
 * The kernel's command line gives it, as variables: SCRIPT, what to run, and WRITABLE, directories that are
 * empty ones of the disk (a:b:c). The root directory without these is /run/root as well. The script's exit code
 * is written to EXIT_CODE.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULES "/modules" /* in the order of their names */
#define EXIT_CODE "/run/guest/exit_code"

static void turn_off(void)
{
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

static void check(long result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
    turn_off();
}

static void load_modules(void)
{
    char path[64];
    for (int number = 0; snprintf(path, sizeof path, MODULES "/%d.ko", number), access(path, R_OK) == 0; number++) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        check(file, path);
        check(syscall(SYS_finit_module, file, "", 0), path);
        close(file);
    }
}

static void mount_at(const char *type, const char *source, const char *target, unsigned long flags)
{
    mkdir(target, 0755); /* it may be there */
    check(mount(source, target, type, flags, NULL), target);
}

/* A pivot_root is refused in the initramfs; this is what switch_root(8) does. */
static void enter_root(void)
{
    mount_at("virtiofs", "root", "/root", MS_RDONLY);
    check(chdir("/root"), "/root");
    check(mount(".", "/", NULL, MS_MOVE, NULL), "/root as /");
    check(chroot("."), "/root as /");
}

static void mount_the_usual(void)
{
    mount_at("proc", "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    mount_at("sysfs", "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    mount_at("devtmpfs", "devtmpfs", "/dev", MS_NOSUID);
    mount_at("devpts", "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC);
    mount_at("tmpfs", "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV);
    mount_at("cgroup2", "cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    mount_at("tmpfs", "tmpfs", "/run", MS_NOSUID | MS_NODEV);
    mount_at("virtiofs", "guest", "/run/guest", MS_NOSUID | MS_NODEV);
    mount_at(NULL, "/", "/run/root", MS_BIND); /* what lies below the writable directories is to be found there */
    symlink("/proc/self/fd", "/dev/fd");
    check(chmod("/dev/shm", 01777), "/dev/shm");
}

/* On a disk, as a machine has them: what a tmpfs can do came late. */
static void mount_writable(char *directories)
{
    char made[64];
    int number = 0;
    mount_at("ext4", "/dev/vda", "/run/disk", MS_NOSUID | MS_NODEV);
    for (char *each = strtok(directories, ":"); each != NULL; each = strtok(NULL, ":")) {
        snprintf(made, sizeof made, "/run/disk/%d", number++);
        check(mkdir(made, 0755), made);
        mount_at(NULL, made, each, MS_BIND);
        check(chmod(each, 01777), each);
    }
    check(umount2("/run/disk", MNT_DETACH), "/run/disk");
}

static void bring_loopback_up(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(ioctl(any, SIOCSIFFLAGS, &loopback), "lo");
    close(any);
}

/* Whose parent has ended is this process's to reap. */
static int run(const char *script)
{
    pid_t shell = fork();
    if (shell == 0) {
        setsid();
        execl("/bin/sh", "sh", script, (char *)NULL);
        _exit(127);
    }
    for (int status;;)
        if (wait(&status) == shell)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(void)
{
    char writable[256] = "";
    const char *script = getenv("SCRIPT");
    strncpy(writable, getenv("WRITABLE") ? getenv("WRITABLE") : "", sizeof writable - 1);
    load_modules();
    enter_root();
    mount_the_usual();
    mount_writable(writable);
    bring_loopback_up();
    int code = run(script ? script : "");
    FILE *told = fopen(EXIT_CODE, "w");
    if (told != NULL && fprintf(told, "%d\n", code) > 0)
        fclose(told);
    turn_off();
}
