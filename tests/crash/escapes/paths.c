/* Files by path: links, renames, races and handles */
#include "attempt.h"

#include <dirent.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define EXCHANGE 2

ESCAPE(file_by_path, SEEN, "all", "opens a file outside by its path")
{
    return printed_file(given("secret"));
}

ESCAPE(file_by_symlink, SEEN, "all", "opens a file outside by a symbolic link of its own")
{
    symlink(given("secret"), below("work", "link"));
    return printed_file(below("work", "link"));
}

ESCAPE(file_by_relative_symlink, SEEN, "all", "opens a file outside by a symbolic link with many ..")
{
    char target[4096];
    snprintf(target, sizeof target, "../../../../../../../../../..%s", given("secret"));
    symlink(target, below("work", "link"));
    return printed_file(below("work", "link"));
}

ESCAPE(file_by_dots, SEEN, "all", "opens a file beside its directory by ..")
{
    return printed_file(below("work", "../outside/secret"));
}

ESCAPE(file_by_directory_and_dots, SEEN, "all", "opens a file outside by .. of an open directory")
{
    int work = open(given("work"), O_RDONLY | O_DIRECTORY);
    return printed(openat(work, "../outside/secret", O_RDONLY));
}

ESCAPE(file_by_openat2, SEEN, "all", "opens a file outside with openat2")
{
    struct open_how wish = {.flags = O_RDONLY};
    return printed((int)syscall(SYS_openat2, AT_FDCWD, given("secret"), &wish, sizeof wish));
}

ESCAPE(file_by_held_path, SEEN, "all", "opens a file outside by O_PATH, and that again by /proc/self/fd")
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", open(given("secret"), O_PATH));
    return printed_file(path);
}

ESCAPE(file_by_own_root, SEEN, "all", "opens a file outside by /proc/self/root")
{
    char path[4096];
    snprintf(path, sizeof path, "/proc/self/root%s", given("secret"));
    return printed_file(path);
}

ESCAPE(file_by_thread_root, SEEN, "all", "opens a file outside by /proc/thread-self/root")
{
    char path[4096];
    snprintf(path, sizeof path, "/proc/thread-self/root/..%s", given("secret"));
    return printed_file(path);
}

ESCAPE(file_by_own_cwd, SEEN, "all", "opens a file outside by .. of /proc/self/cwd")
{
    if (chdir(given("work")) < 0)
        return outcome_of(-1);
    return printed_file("/proc/self/cwd/../outside/secret");
}

ESCAPE(file_by_hard_link, SEEN, "all", "makes a hard link to a file outside, and reads it")
{
    unlink(below("work", "hard"));
    if (link(given("secret"), below("work", "hard")) < 0)
        return outcome_of(-1);
    return printed_file(below("work", "hard"));
}

ESCAPE(file_by_link_of_held_path, SEEN, "all", "makes a hard link to a file that it holds by O_PATH")
{
    char path[64];
    unlink(below("work", "hard"));
    snprintf(path, sizeof path, "/proc/self/fd/%d", open(given("secret"), O_PATH));
    if (linkat(AT_FDCWD, path, AT_FDCWD, below("work", "hard"), AT_SYMLINK_FOLLOW) < 0)
        return outcome_of(-1);
    return printed_file(below("work", "hard"));
}

ESCAPE(file_renamed_in, SEEN, "all", "renames a file outside into its own directory")
{
    return outcome_of(rename(below("outside", "file"), below("work", "renamed")));
}

ESCAPE(file_renamed_out, SEEN, "all", "renames a file of its own to one outside")
{
    close(open(below("work", "own"), O_CREAT | O_WRONLY, 0666));
    return outcome_of(rename(below("work", "own"), below("outside", "file")));
}

ESCAPE(file_exchanged, SEEN, "all", "exchanges a file of its own with one outside")
{
    close(open(below("work", "own"), O_CREAT | O_WRONLY, 0666));
    return outcome_of(syscall(
        SYS_renameat2, AT_FDCWD, below("work", "own"), AT_FDCWD, below("outside", "file"), EXCHANGE));
}

ESCAPE(file_written, SEEN, "all", "writes a file outside")
{
    return defaced_file(below("outside", "file"), O_APPEND);
}

ESCAPE(file_written_by_symlink, SEEN, "all", "writes a file outside by a symbolic link of its own")
{
    unlink(below("work", "link"));
    symlink(below("outside", "file"), below("work", "link"));
    return defaced_file(below("work", "link"), O_APPEND);
}

ESCAPE(file_truncated, SEEN, "all", "empties a file outside")
{
    return outcome_of(truncate(below("outside", "file"), 0));
}

ESCAPE(file_made, SEEN, "all", "makes a file outside")
{
    return defaced_file(below("outside", "made"), O_CREAT);
}

ESCAPE(file_removed, SEEN, "all", "removes a file outside")
{
    return outcome_of(unlink(below("outside", "file")));
}

ESCAPE(directory_made, SEEN, "all", "makes a directory outside")
{
    return outcome_of(mkdir(below("outside", "made"), 0777));
}

ESCAPE(symlink_made, SEEN, "all", "makes a symbolic link outside")
{
    return outcome_of(symlink("/", below("outside", "made")));
}

ESCAPE(fifo_made, SEEN, "all", "makes a fifo outside")
{
    return outcome_of(mkfifo(below("outside", "made"), 0666));
}

ESCAPE(rights_changed, SEEN, "all", "changes the rights of a file outside")
{
    return outcome_of(chmod(below("outside", "file"), 0600));
}

ESCAPE(owner_changed, WORD, "all", "touches the owner of a file outside")
{
    return outcome_of(chown(below("outside", "file"), (uid_t)-1, getgid()));
}

ESCAPE(times_changed, SEEN, "all", "changes the times of a file outside")
{
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    return outcome_of(utimensat(AT_FDCWD, below("outside", "file"), times, 0));
}

ESCAPE(attribute_set, SEEN, "some: a file system with user attributes", "gives a file outside an attribute")
{
    return outcome_of(setxattr(below("outside", "file"), "user.escaped", "x", 1, 0));
}

ESCAPE(directory_listed, WORD, "all", "lists a directory outside")
{
    return outcome_of(opendir(given("outside")) == NULL ? -1 : 0);
}

ESCAPE(file_seen, WORD, "all", "asks for the size and the owner of a file outside")
{
    struct stat told;
    return outcome_of(stat(given("secret"), &told));
}

ESCAPE(file_locked, WORD, "all", "locks a file outside, which who reads it would wait for")
{
    int file = open(below("outside", "file"), O_RDONLY);
    return outcome_of(file < 0 ? -1 : flock(file, LOCK_EX | LOCK_NB));
}

ESCAPE(file_leased, WORD, "some: its owner or root", "takes a lease of a file outside, which who opens it would wait for")
{
    int file = open(below("outside", "file"), O_RDONLY);
    return outcome_of(file < 0 ? -1 : fcntl(file, F_SETLEASE, F_RDLCK));
}

ESCAPE(shown_leased, WORD, "some: its owner or root", "takes a lease of a file that it may read, which who writes to it would wait for")
{
    int file = open(below("shown", "file"), O_RDONLY);
    return outcome_of(file < 0 ? -1 : fcntl(file, F_SETLEASE, F_RDLCK));
}

ESCAPE(shown_locked, WORD, "all", "locks a file that it may only read, which who locks it too would wait for")
{
    int file = open(below("shown", "file"), O_RDONLY);
    return outcome_of(file < 0 ? -1 : flock(file, LOCK_EX | LOCK_NB));
}

ESCAPE(program_run, SEEN, "all", "runs a program outside")
{
    fflush(stdout);
    execl(below("outside", "program"), "program", "confederate", given("secret"), NULL);
    return outcome_of(-1);
}

ESCAPE(program_run_by_loader, SEEN, "all", "has the loader run a program outside")
{
    fflush(stdout);
    execl("/lib64/ld-linux-x86-64.so.2", "ld.so", below("outside", "program"), "confederate", given("secret"), NULL);
    return outcome_of(-1);
}

/* ---- races: another thread swaps a link while it is used */

static volatile bool done;
static volatile long rounds;
static const char *const swapped = "swapped";

static void *swap(void *work)
{
    int at = (int)(intptr_t)work;
    close(openat(at, "plain", O_CREAT | O_WRONLY, 0666));
    unlinkat(at, swapped, 0);
    unlinkat(at, "to-outside", 0);
    symlinkat(below("outside", "file"), at, "to-outside");
    renameat(at, "plain", at, swapped);
    while (!done) {
        syscall(SYS_renameat2, at, swapped, at, "to-outside", EXCHANGE);
        rounds++;
    }
    return NULL;
}

/* Enough of both, and without a sandbox until it has come true. */
static bool goes_on(int i, bool is_reached)
{
    return i < 2000 || (i < 200000 && (rounds < 2000 || (!is_confined() && !is_reached)));
}

static bool is_longer(void)
{
    struct stat told;
    return stat(below("outside", "file"), &told) == 0 && told.st_size > 9;
}

static int raced(bool writes)
{
    int work = open(given("work"), O_RDONLY | O_DIRECTORY);
    pthread_t thread;
    if (work < 0 || pthread_create(&thread, NULL, swap, (void *)(intptr_t)work) != 0)
        return untried("no thread");
    for (int i = 0; goes_on(i, is_longer()); i++) {
        int file = openat(work, swapped, (writes ? O_WRONLY | O_APPEND : O_RDONLY) | O_CLOEXEC);
        if (file >= 0 && writes)
            write(file, SHOT, strlen(SHOT));
        if (file >= 0)
            close(file);
    }
    done = true;
    pthread_join(thread, NULL);
    return THROUGH;
}

ESCAPE(link_swapped_during_write, SEEN, "all", "writes a file that becomes a link to one outside at any moment")
{
    return raced(true);
}

static void *swap_directories(void *work)
{
    int at = (int)(intptr_t)work;
    while (!done) {
        syscall(SYS_renameat2, at, "inner", at, "inner-link", EXCHANGE);
        rounds++;
    }
    return NULL;
}

ESCAPE(directory_swapped_during_write, SEEN, "all", "makes a file below a directory that becomes a link to outside at any moment")
{
    int work = open(given("work"), O_RDONLY | O_DIRECTORY);
    mkdirat(work, "inner", 0777);
    unlinkat(work, "inner-link", 0);
    symlinkat(given("outside"), work, "inner-link");
    pthread_t thread;
    if (work < 0 || pthread_create(&thread, NULL, swap_directories, (void *)(intptr_t)work) != 0)
        return untried("no thread");
    for (int i = 0; goes_on(i, access(below("outside", "made"), F_OK) == 0); i++) {
        int file = openat(work, "inner/made", O_CREAT | O_WRONLY, 0666);
        if (file >= 0)
            close(file);
    }
    done = true;
    pthread_join(thread, NULL);
    return THROUGH;
}

/* ---- what is shown, but not to be written */

ESCAPE(shown_file_written, SEEN, "all", "writes a file that it may only read")
{
    return defaced_file(below("shown", "file"), O_APPEND);
}

ESCAPE(shown_file_written_by_hard_link, SEEN, "all", "links a file that it may only read into its own directory, and writes that")
{
    unlink(below("work", "hard"));
    if (link(below("shown", "file"), below("work", "hard")) < 0)
        return outcome_of(-1);
    return defaced_file(below("work", "hard"), O_APPEND);
}

ESCAPE(shown_file_written_by_rename, SEEN, "all", "renames a file that it may only read into its own directory")
{
    return outcome_of(rename(below("shown", "file"), below("work", "renamed")));
}

ESCAPE(shown_file_written_by_held_path, SEEN, "all", "opens a file that it may only read for writing by /proc/self/fd")
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", open(below("shown", "file"), O_RDONLY));
    return defaced_file(path, O_APPEND);
}

ESCAPE(shown_file_written_by_memory, SEEN, "none: the kernel refuses it", "maps a file that it may only read, shared and writable")
{
    int file = open(below("shown", "file"), O_RDONLY);
    char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_READ | PROT_WRITE) < 0)
        return outcome_of(-1);
    memcpy(memory, SHOT, strlen(SHOT));
    return THROUGH;
}

ESCAPE(shown_file_written_by_own_mem, SEEN, "none: it writes a copy", "writes a private mapping of a file that it may only read by /proc/self/mem")
{
    int file = open(below("shown", "file"), O_RDONLY);
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    int own = open("/proc/self/mem", O_RDWR);
    if (memory == MAP_FAILED || own < 0)
        return outcome_of(-1);
    return outcome_of(pwrite(own, SHOT, strlen(SHOT), (long)memory));
}

ESCAPE(shown_file_truncated, SEEN, "all", "empties a file that it may only read")
{
    return outcome_of(truncate(below("shown", "file"), 0));
}

ESCAPE(shown_file_rights_changed, SEEN, "all", "changes the rights of a file that it may only read")
{
    return outcome_of(chmod(below("shown", "file"), 0600));
}

ESCAPE(shown_file_times_changed, SEEN, "all", "changes the times of a file that it may only read")
{
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    return outcome_of(utimensat(AT_FDCWD, below("shown", "file"), times, 0));
}

ESCAPE(shown_file_attribute_set, SEEN, "some: a file system with user attributes", "gives a file that it may only read an attribute")
{
    return outcome_of(setxattr(below("shown", "file"), "user.escaped", "x", 1, 0));
}

/* To what they are. */
static int flags_set(const char *path)
{
    enum { SYS_FILE_GETATTR = 468, SYS_FILE_SETATTR = 469 };
    char flags[24];
    if (syscall(SYS_FILE_GETATTR, AT_FDCWD, path, flags, sizeof flags, 0) < 0)
        return outcome_of(-1);
    return outcome_of(syscall(SYS_FILE_SETATTR, AT_FDCWD, path, flags, sizeof flags, 0));
}

ESCAPE(flags_set, WORD, "some: Linux 6.17, and a file system with flags", "sets the flags of a file outside with file_setattr, to what they are")
{
    return flags_set(below("outside", "file"));
}

ESCAPE(shown_file_flags_set, WORD, "some: Linux 6.17, and a file system with flags", "sets the flags of a file that it may only read with file_setattr, to what they are")
{
    return flags_set(below("shown", "file"));
}

ESCAPE(shown_file_flags_set_by_ioctl, WORD, "some: a file system with flags", "sets the flags of a file that it may only read with ioctl, to what they are")
{
    int file = open(below("shown", "file"), O_RDONLY), flags;
    if (file < 0 || ioctl(file, FS_IOC_GETFLAGS, &flags) < 0)
        return outcome_of(-1);
    return outcome_of(ioctl(file, FS_IOC_SETFLAGS, &flags));
}

ESCAPE(shown_directory_written, SEEN, "all", "makes a file in a directory that it may only read")
{
    return defaced_file(below("shown", "made"), O_CREAT);
}

ESCAPE(shown_file_removed, SEEN, "all", "removes a file that it may only read")
{
    return outcome_of(unlink(below("shown", "file")));
}

ESCAPE(hidden_file, SEEN, "all", "opens a file below a hidden path")
{
    return printed_file(below("hidden", "secret"));
}

ESCAPE(hidden_file_by_directory, SEEN, "all", "opens a file below a hidden path by the directory above it")
{
    int shown = open(given("shown"), O_RDONLY | O_DIRECTORY);
    return printed(openat(shown, "./hidden/../hidden/secret", O_RDONLY));
}

ESCAPE(hidden_file_by_snapshot, SEEN, "some: directories that are subvolumes of btrfs", "opens a file below a hidden path in a snapshot of the directory around it")
{
    struct btrfs_ioctl_vol_args_v2 wish = {.fd = open(given("shown"), O_RDONLY | O_DIRECTORY), .name = "snapshot"};
    int work = open(given("work"), O_RDONLY | O_DIRECTORY);
    if (ioctl(work, BTRFS_IOC_SNAP_CREATE_V2, &wish) < 0)
        return outcome_of(-1);
    return printed_file(below("work", "snapshot/hidden/secret"));
}

ESCAPE(hidden_directory_renamed, SEEN, "all", "renames a hidden directory")
{
    return outcome_of(rename(given("hidden"), below("work", "found")));
}

ESCAPE(system_written, WORD, "root", "opens a file without a name in /usr/bin, to write")
{
    return outcome_of(open("/usr/bin", O_TMPFILE | O_WRONLY, 0600));
}

ESCAPE(configuration_written, WORD, "root", "opens a file without a name in /etc, to write")
{
    return outcome_of(open("/etc", O_TMPFILE | O_WRONLY, 0600));
}

ESCAPE(passwords_read, WORD, "root", "reads the passwords of the machine")
{
    return printed_file("/etc/shadow");
}

ESCAPE(home_read, WORD, "some: root, and the files of a shell", "reads the settings in the home directory of root")
{
    return printed_file("/root" "/.bashrc") == THROUGH ? THROUGH : printed_file("/root" "/.profile");
}

ESCAPE(kernel_objects_written, WORD, "root", "opens a file of /sys to write")
{
    return outcome_of(open("/sys/kernel/profiling", O_WRONLY) < 0
                          ? open("/sys/kernel/rcu_expedited", O_WRONLY)
                          : 0);
}

ESCAPE(temporary_file_of_host, SEEN, "all", "opens a file in the host's directory for temporary files")
{
    return printed_file(given("temporary"));
}

ESCAPE(shared_memory_file_of_host, SEEN, "all", "opens a file in the host's /dev/shm")
{
    return printed_file(given("shared_memory"));
}

/* ---- handles, and watching */

struct handle {
    struct file_handle head;
    unsigned char bytes[128];
};

ESCAPE(file_by_handle, SEEN, "root", "opens a file outside by its handle with open_by_handle_at")
{
    struct handle handle = {0};
    const char *hex = given("handle");
    unsigned type, byte;
    int size = 0;
    if (sscanf(hex, "%u:", &type) != 1)
        return untried("no handle");
    for (hex = strchr(hex, ':') + 1; size < 128 && sscanf(hex, "%2x", &byte) == 1; hex += 2)
        handle.bytes[size++] = (unsigned char)byte;
    handle.head.handle_type = (int)type;
    handle.head.handle_bytes = (unsigned)size;
    memcpy(handle.head.f_handle, handle.bytes, (size_t)size);
    int work = open(given("work"), O_RDONLY | O_DIRECTORY);
    return printed(open_by_handle_at(work, &handle.head, O_RDONLY));
}

ESCAPE(handle_of_file, WORD, "some: a file system with handles", "gets the handle of a file with name_to_handle_at")
{
    struct handle handle = {.head = {.handle_bytes = 128}};
    int mount_id;
    return outcome_of(name_to_handle_at(AT_FDCWD, given("work"), &handle.head, &mount_id, 0));
}

ESCAPE(outside_watched, WORD, "all", "watches a directory outside with inotify")
{
    return outcome_of(inotify_add_watch(inotify_init(), given("outside"), IN_ALL_EVENTS));
}

ESCAPE(all_opens_watched, WORD, "root", "watches all files of a file system with fanotify")
{
    int watch = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
    return outcome_of(
        watch < 0 ? -1 : fanotify_mark(watch, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "/"));
}

ESCAPE(outside_watched_by_fanotify, WORD, "all", "watches a directory outside with fanotify, as a plain user may")
{
    int watch = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
    return outcome_of(watch < 0 ? -1 : fanotify_mark(watch, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, given("outside")));
}
