/* Memory that the kernel holds for it: more than it may have, without another limit. Each stops at a few times the limit */
#include "bombs.h"

#include <linux/limits.h>
#include <linux/netlink.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int bomb_of_sysv_semaphores(void)
{
    enum { MOST = 1024, IN_ONE = 32000, SIZE_OF_ONE = 64 };
    int sets[MOST], made = 0;
    long most = goal() / (IN_ONE * SIZE_OF_ONE);
    while (made < most && made < MOST && (sets[made] = semget(IPC_PRIVATE, IN_ONE, 0600)) >= 0)
        made++;
    int error = errno, outcome = made == most ? kept() : STOPPED;
    while (made-- > 0)
        semctl(sets[made], 0, IPC_RMID);
    errno = error;
    return outcome == THROUGH ? THROUGH : outcome_of(-1);
}

ESCAPE(memory_semaphores, WORD, "some: kernel.sem", "takes four times the memory that it may have as SysV semaphores")
{
    return in_child(bomb_of_sysv_semaphores);
}

/* In many files, as the kernel compares each lock with all that its file has. */
static int bomb_of_locks(void)
{
    enum { SIZE_OF_ONE = 192, IN_ONE_FILE = 200 };
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int file = -1;
    for (long left = goal() / SIZE_OF_ONE; left > 0; left--) {
        if (file < 0 || left % IN_ONE_FILE == 0)
            file = memfd_create("bomb", 0);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2 * left, .l_len = 1};
        if (fcntl(file, F_SETLK, &lock) < 0)
            return outcome_of(-1);
    }
    return kept();
}

ESCAPE(memory_file_locks, WORD, "some: its limit of open files", "takes four times the memory that it may have as locks of files")
{
    return in_child(bomb_of_locks);
}

static int bomb_of_futexes(void)
{
    enum { SET_FUTEX_HASH = 78, SET_SLOTS = 1, SIZE_OF_ONE = 64 };
    unsigned long slots = 2;
    while (slots * SIZE_OF_ONE < (unsigned long)goal())
        slots *= 2;
    return prctl(SET_FUTEX_HASH, SET_SLOTS, slots, 0UL) < 0 ? outcome_of(-1) : kept();
}

ESCAPE(memory_futex_table, WORD, "some: Linux 6.16, and CONFIG_FUTEX_PRIVATE_HASH", "takes four times the memory that it may have as a table of futexes")
{
    return in_child(bomb_of_futexes);
}

/* As large as it may be. Its own user is named over and over, as the kernel takes it. */
static const void *access_list(size_t *size)
{
    enum { MOST = (XATTR_SIZE_MAX - sizeof(struct posix_acl_xattr_header)) / sizeof(struct posix_acl_xattr_entry) };
    static struct {
        struct posix_acl_xattr_header header;
        struct posix_acl_xattr_entry entry[MOST];
    } list = {.header.a_version = POSIX_ACL_XATTR_VERSION};
    for (int i = 1; i < MOST - 3; i++)
        list.entry[i] = (struct posix_acl_xattr_entry){ACL_USER, ACL_READ, getuid()};
    const __le16 others[] = {ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER};
    list.entry[0] = (struct posix_acl_xattr_entry){ACL_USER_OBJ, ACL_READ | ACL_WRITE | ACL_EXECUTE, (__le32)ACL_UNDEFINED_ID};
    for (int i = 0; i < 3; i++)
        list.entry[MOST - 3 + i] = (struct posix_acl_xattr_entry){others[i], ACL_READ, (__le32)ACL_UNDEFINED_ID};
    *size = sizeof list;
    return &list;
}

static int set_by_name(const char *path, const char *name, const void *value, size_t size)
{
    return setxattr(path, name, value, size, 0);
}

static int set_at(const char *path, const char *name, const void *value, size_t size)
{
    const struct { uint64_t value; uint32_t size, flags; } arguments = {(uintptr_t)value, (uint32_t)size, 0};
    enum { SYS_SETXATTRAT = 463 };
    return (int)syscall(SYS_SETXATTRAT, AT_FDCWD, path, 0, name, &arguments, sizeof arguments);
}

static int (*set_attribute)(const char *, const char *, const void *, size_t);

static int bomb_of_access_lists(void)
{
    enum { SIZE_OF_BOTH = 4 * XATTR_SIZE_MAX }; /* the kernel's own form is a little larger than a power of two */
    size_t size;
    const void *list = access_list(&size);
    char path[64];
    long made = 0, most = goal() / SIZE_OF_BOTH;
    bool is_through = true;
    while (made < most && is_through) {
        snprintf(path, sizeof path, "/dev/shm/ramet-lists-%d-%ld", (int)getpid(), made);
        is_through = mkdir(path, 0700) == 0;
        made += is_through;
        is_through = is_through && set_attribute(path, "system.posix_acl_default", list, size) == 0 &&
                     set_attribute(path, "system.posix_acl_access", list, size) == 0;
    }
    int error = errno;
    if (is_through)
        kept();
    while (made-- > 0) {
        snprintf(path, sizeof path, "/dev/shm/ramet-lists-%d-%ld", (int)getpid(), made);
        rmdir(path);
    }
    errno = error;
    return outcome_of(is_through ? 0 : -1);
}

ESCAPE(memory_access_lists, WORD, "some: a tmpfs with lists of access rights", "takes four times the memory that it may have as lists of access rights of files in memory")
{
    set_attribute = set_by_name;
    return in_child(bomb_of_access_lists);
}

ESCAPE(memory_access_lists_by_setxattrat, WORD, "some: Linux 6.13, and a tmpfs with lists of access rights", "does so with setxattrat, where no filter reads the size")
{
    set_attribute = set_at;
    return in_child(bomb_of_access_lists);
}

/* Requests that the kernel does not know, each of which it answers; nobody reads the answers. */
static long answers_waiting(int asking)
{
    enum { REQUESTS = 2000 };
    static struct nlmsghdr unknown[REQUESTS];
    for (int i = 0; i < REQUESTS; i++)
        unknown[i] = (struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = 1000, .nlmsg_flags = NLM_F_REQUEST};
    uint32_t told[SK_MEMINFO_VARS] = {0}, before;
    socklen_t size = sizeof told;
    do {
        before = told[SK_MEMINFO_RMEM_ALLOC];
        if (send(asking, unknown, sizeof unknown, MSG_DONTWAIT) < 0 ||
            getsockopt(asking, SOL_SOCKET, SO_MEMINFO, told, &size) < 0)
            break;
    } while (told[SK_MEMINFO_RMEM_ALLOC] > before);
    return (long)told[SK_MEMINFO_RMEM_ALLOC];
}

static int bomb_of_answers(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (long size = 0, more; size < goal(); size += more) {
        int asking = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        more = asking < 0 ? -1 : answers_waiting(asking);
        if (more <= 0)
            return outcome_of(-1);
    }
    return kept();
}

ESCAPE(memory_netlink, WORD, "some: its limit of open files", "takes four times the memory that it may have as answers of the kernel that wait in netlink sockets")
{
    return in_child(bomb_of_answers);
}

ESCAPE(memory_multicast_groups, WORD, "some: IPv6", "joins a thousand groups of IPv6 in one socket, some KB of the kernel each, which count for nobody")
{
    int joining = socket(AF_INET6, SOCK_DGRAM, 0);
    for (int i = 0; i < 1000; i++) {
        struct ipv6_mreq group = {.ipv6mr_interface = 1, .ipv6mr_multiaddr = {{{0xff, 2, [13] = 1, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i}}}};
        if (setsockopt(joining, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group) < 0)
            return outcome_of(-1);
    }
    return THROUGH;
}

ESCAPE(memory_policies, WORD, "some: CONFIG_NUMA", "gives a hundred thousand pages of an empty memfd rules of their own by mbind, whose memory counts for nobody")
{
    enum { BIND = 2, PAGE = 4096 };
    const unsigned long first_node = 1;
    int file = memfd_create("policies", 0);
    ftruncate(file, 1L << 40);
    for (long i = 0; i < 100000; i++) {
        void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 2 * PAGE * i);
        if (page == MAP_FAILED || syscall(SYS_mbind, page, PAGE, BIND, &first_node, 8UL, 0) < 0)
            return outcome_of(-1);
        munmap(page, PAGE);
    }
    return THROUGH;
}

ESCAPE(memory_keys_of_segments, WORD, "some: CONFIG_TCP_MD5SIG", "gives one socket a hundred keys that sign segments of TCP, whose memory counts for nobody")
{
    int signing = socket(AF_INET, SOCK_STREAM, 0);
    for (uint32_t i = 1; i <= 100; i++) {
        struct tcp_md5sig wish = {.tcpm_keylen = TCP_MD5SIG_MAXKEYLEN};
        *(struct sockaddr_in *)&wish.tcpm_addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(i)}};
        if (setsockopt(signing, IPPROTO_TCP, TCP_MD5SIG, &wish, sizeof wish) < 0)
            return outcome_of(-1);
    }
    return THROUGH;
}
