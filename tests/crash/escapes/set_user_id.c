/* Set-user-ID programs that are left in files that it may write, for others to run */
#include "attempt.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define SET_USER_ID (S_ISUID | 0755)
#define SET_GROUP_ID (S_ISGID | 0755)

static const char *left(void)
{
    return below("work", "left");
}

static int opened_file(void)
{
    umask(0);
    unlink(left());
    return open(left(), O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0644);
}

static const char *written_program(void)
{
    close(opened_file());
    return left();
}

static const char *missing_program(void)
{
    umask(0);
    unlink(left());
    return left();
}

ESCAPE(left_by_chmod, SEEN, "all", "leaves a set-user-ID program by chmod")
{
    return outcome_of(syscall(SYS_chmod, written_program(), SET_USER_ID));
}

ESCAPE(left_by_chmod_without_rights, SEEN, "all", "leaves a file with set-user-ID that a list of access rights could make a program")
{
    return outcome_of(syscall(SYS_chmod, written_program(), S_ISUID | 0644));
}

ESCAPE(left_by_chmod_with_bits_beside, SEEN, "all", "leaves a set-user-ID program by chmod, with other bits in the register of the mode")
{
    return outcome_of(syscall(SYS_chmod, written_program(), 0x5a5a5a5a5a5a0000L | SET_USER_ID));
}

ESCAPE(left_by_chmod_of_group, SEEN, "all", "leaves a set-group-ID program by chmod")
{
    return outcome_of(syscall(SYS_chmod, written_program(), SET_GROUP_ID));
}

ESCAPE(left_by_fchmod, SEEN, "all", "leaves a set-user-ID program by fchmod")
{
    return outcome_of(syscall(SYS_fchmod, opened_file(), SET_USER_ID));
}

ESCAPE(left_by_fchmodat, SEEN, "all", "leaves a set-user-ID program by fchmodat")
{
    return outcome_of(syscall(SYS_fchmodat, AT_FDCWD, written_program(), SET_USER_ID));
}

ESCAPE(left_by_fchmodat2, SEEN, "some: Linux 6.6", "leaves a set-user-ID program by fchmodat2 of a descriptor")
{
    written_program();
    int held = open(left(), O_PATH | O_CLOEXEC);
    return outcome_of(syscall(SYS_fchmodat2, held, "", SET_USER_ID, AT_EMPTY_PATH));
}

ESCAPE(left_by_open_file_in_proc, SEEN, "all", "leaves a set-user-ID program by chmod of an open file in /proc")
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", opened_file());
    return outcome_of(syscall(SYS_chmod, path, SET_USER_ID));
}

ESCAPE(left_by_mknod, SEEN, "all", "leaves a set-user-ID program by mknod")
{
    return outcome_of(syscall(SYS_mknod, missing_program(), S_IFREG | SET_USER_ID, 0));
}

ESCAPE(left_by_mknodat, SEEN, "all", "leaves a set-user-ID program by mknodat, without the type of the file")
{
    return outcome_of(syscall(SYS_mknodat, AT_FDCWD, missing_program(), SET_USER_ID, 0));
}

ESCAPE(left_by_creat, SEEN, "all", "leaves a set-user-ID program by creat")
{
    return outcome_of(syscall(SYS_creat, missing_program(), SET_USER_ID));
}

ESCAPE(left_by_open, SEEN, "all", "leaves a set-user-ID program by open")
{
    return outcome_of(syscall(SYS_open, missing_program(), O_CREAT | O_WRONLY, SET_USER_ID));
}

ESCAPE(left_by_openat, SEEN, "all", "leaves a set-user-ID program by openat")
{
    return outcome_of(syscall(SYS_openat, AT_FDCWD, missing_program(), O_CREAT | O_RDWR | O_EXCL, SET_USER_ID));
}

ESCAPE(left_by_openat_of_group, SEEN, "all", "leaves a set-group-ID program by openat")
{
    return outcome_of(syscall(SYS_openat, AT_FDCWD, missing_program(), O_CREAT | O_WRONLY, SET_GROUP_ID));
}

ESCAPE(left_by_openat2, SEEN, "all", "leaves a set-user-ID program by openat2, whose mode no filter can read")
{
    struct open_how wish = {.flags = O_CREAT | O_WRONLY, .mode = SET_USER_ID};
    return outcome_of(syscall(SYS_openat2, AT_FDCWD, missing_program(), &wish, sizeof wish));
}

ESCAPE(left_by_file_without_a_name, SEEN, "some: a file system with O_TMPFILE", "leaves a set-user-ID program that had no name when it was made")
{
    char path[64];
    missing_program();
    int made = open(given("work"), O_TMPFILE | O_WRONLY | O_CLOEXEC, SET_USER_ID);
    if (made < 0)
        return outcome_of(-1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", made);
    return outcome_of(linkat(AT_FDCWD, path, AT_FDCWD, left(), AT_SYMLINK_FOLLOW));
}

ESCAPE(left_by_hard_link, SEEN, "all", "leaves a set-user-ID program by a link to one that it may only read")
{
    char name[4096];
    snprintf(name, sizeof name, "%s", missing_program());
    return outcome_of(link(below("bin", "set-user-id"), name));
}

ESCAPE(left_with_capabilities, SEEN, "root", "leaves a program with capabilities of its file")
{
    static const unsigned char all[20] = {1, 0, 0, 2, 0xff, 0xff, 0xff, 0xff};
    return outcome_of(setxattr(written_program(), "security.capability", all, sizeof all, 0));
}

static int left_in_child(void)
{
    return outcome_of(syscall(SYS_chmod, written_program(), SET_USER_ID));
}

ESCAPE(left_by_child, SEEN, "all", "leaves a set-user-ID program by chmod of a child")
{
    return in_child(left_in_child);
}
