/* More than it may have: memory, processes, files, output, processor time. Each stops at a few times the limit. */
#include "bombs.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define CHUNK (1 << 20)

long goal(void)
{
    return 4 * number("memory");
}

int kept(void)
{
    const struct timespec seconds = {.tv_sec = 2};
    if (is_confined())
        nanosleep(&seconds, NULL);
    return THROUGH;
}

static int touched(int flags, int file)
{
    char *memory = mmap(NULL, (size_t)goal(), PROT_READ | PROT_WRITE, flags, file, 0);
    if (memory == MAP_FAILED)
        return outcome_of(-1);
    for (long at = 0; at < goal(); at += 4096)
        memory[at] = 1;
    return kept();
}

static int bomb_of_anonymous(void)
{
    return touched(MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

ESCAPE(memory_anonymous, WORD, "all", "takes four times the memory that it may have")
{
    return in_child(bomb_of_anonymous);
}

static int bomb_of_shared(void)
{
    return touched(MAP_SHARED | MAP_ANONYMOUS, -1);
}

ESCAPE(memory_shared, WORD, "all", "takes four times the memory that it may have as shared memory")
{
    return in_child(bomb_of_shared);
}

static int bomb_of_memfd(void)
{
    int file = memfd_create("bomb", 0);
    if (file < 0 || ftruncate(file, goal()) < 0)
        return outcome_of(-1);
    return touched(MAP_SHARED, file);
}

ESCAPE(memory_memfd, WORD, "all", "takes four times the memory that it may have in a memfd")
{
    return in_child(bomb_of_memfd);
}

static int bomb_of_memfd_written(void)
{
    static char zeros[CHUNK];
    int file = memfd_create("bomb", 0);
    for (long size = 0; size < goal(); size += CHUNK)
        if (write(file, zeros, CHUNK) != CHUNK)
            return outcome_of(-1);
    return kept();
}

ESCAPE(memory_memfd_written, WORD, "all", "writes four times the memory that it may have to a memfd, which maps none of it")
{
    return in_child(bomb_of_memfd_written);
}

static int many_files_in_memory(void)
{
    static char zeros[CHUNK];
    for (long size = 0; size < goal(); size += CHUNK) {
        int file = memfd_create("bomb", 0);
        if (file < 0)
            return outcome_of(-1);
        if (write(file, zeros, CHUNK) != CHUNK)
            return outcome_of(-1);
        void *kept = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
        close(file);
        if (kept == MAP_FAILED)
            return outcome_of(-1);
    }
    return kept();
}

ESCAPE(memory_many_memfds, WORD, "all", "writes four times the memory that it may have to many small memfds")
{
    return in_child(many_files_in_memory);
}

static int bomb_of_pipes(void)
{
    static char zeros[CHUNK];
    for (long size = 0; size < goal(); size += CHUNK) {
        int ends[2];
        if (pipe(ends) < 0)
            return outcome_of(-1);
        fcntl(ends[1], F_SETPIPE_SZ, CHUNK);
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        if (write(ends[1], zeros, CHUNK) < CHUNK / 2)
            return outcome_of(-1);
    }
    return kept();
}

ESCAPE(memory_pipes, WORD, "some: fs.pipe-user-pages-soft", "takes four times the memory that it may have in pipes")
{
    return in_child(bomb_of_pipes);
}

static int bomb_of_sockets(void)
{
    static char zeros[65536];
    for (long size = 0; size < goal();) {
        int ends[2], most = CHUNK;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
            return outcome_of(-1);
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
        ssize_t done, all = 0;
        while ((done = write(ends[0], zeros, sizeof zeros)) > 0)
            all += done;
        if (all == 0)
            return outcome_of(-1);
        size += all;
    }
    return kept();
}

ESCAPE(memory_sockets, WORD, "some: its limit of open files", "takes four times the memory that it may have in sockets")
{
    return in_child(bomb_of_sockets);
}

static int bomb_of_sysv(void)
{
    int made = shmget(IPC_PRIVATE, (size_t)goal(), IPC_CREAT | 0600);
    char *memory = made < 0 ? (void *)-1 : shmat(made, NULL, 0);
    if (made >= 0)
        shmctl(made, IPC_RMID, NULL);
    if (memory == (void *)-1)
        return outcome_of(-1);
    for (long at = 0; at < goal(); at += 4096)
        memory[at] = 1;
    return kept();
}

ESCAPE(memory_sysv, WORD, "all", "takes four times the memory that it may have as SysV memory")
{
    return in_child(bomb_of_sysv);
}

/* In one file, or in files of 1 MB each, which no limit of a file's size concerns. */
static int full_of(const char *directory, long most, bool in_one)
{
    static char zeros[CHUNK];
    char path[4096];
    long size = 0;
    int file = -1, number_of = 0, error = 0;
    for (; size < most && error == 0; size += error ? 0 : CHUNK) {
        if (file < 0 || !in_one) {
            snprintf(path, sizeof path, "%s/ramet-bomb-%d-%d", directory, (int)getpid(), number_of);
            close(file);
            file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
            number_of += file >= 0;
        }
        if (file < 0 || write(file, zeros, CHUNK) != CHUNK)
            error = errno ? errno : ENOSPC;
    }
    while (number_of-- > 0) {
        snprintf(path, sizeof path, "%s/ramet-bomb-%d-%d", directory, (int)getpid(), number_of);
        unlink(path);
    }
    errno = error;
    return size >= most ? THROUGH : outcome_of(-1);
}

static int bomb_of_tmp(void)
{
    return full_of("/tmp", number("tmp") + 4 * CHUNK, false);
}

ESCAPE(disk_tmp, WORD, "all", "writes more to /tmp than it may hold")
{
    return in_child(bomb_of_tmp);
}

static int bomb_of_dev_shm(void)
{
    return full_of("/dev/shm", number("tmp") + 4 * CHUNK, false);
}

ESCAPE(disk_dev_shm, WORD, "all", "writes more to /dev/shm than it may hold")
{
    return in_child(bomb_of_dev_shm);
}

static int bomb_of_dev(void)
{
    return full_of("/dev", 8 * CHUNK, false);
}

ESCAPE(disk_dev, WORD, "root", "writes a file to /dev, which is no place for files")
{
    return in_child(bomb_of_dev);
}

static int bomb_of_root(void)
{
    return full_of("/", 8 * CHUNK, false);
}

ESCAPE(disk_root, WORD, "root", "writes a file to the root directory")
{
    return in_child(bomb_of_root);
}

static int bomb_of_file(void)
{
    return full_of(given("work"), number("file_size") + 4 * CHUNK, true);
}

ESCAPE(file_too_large, WORD, "all", "writes a file that is larger than it may be")
{
    return in_child(bomb_of_file);
}

static int bomb_of_inodes(void)
{
    char folder[32], path[64];
    snprintf(folder, sizeof folder, "/tmp/ramet-inodes-%d", (int)getpid());
    mkdir(folder, 0700);
    int made = 0, most = is_confined() ? 5000 : 500;
    for (; made < most; made++) {
        snprintf(path, sizeof path, "%s/%d", folder, made);
        if (mknod(path, S_IFREG | 0600, 0) < 0)
            break;
    }
    int error = errno, count = made;
    while (made-- > 0) {
        snprintf(path, sizeof path, "%s/%d", folder, made);
        unlink(path);
    }
    rmdir(folder);
    errno = error;
    return count >= most ? THROUGH : outcome_of(-1);
}

ESCAPE(inodes_of_tmp, WORD, "all", "makes 5,000 files in /tmp")
{
    return in_child(bomb_of_inodes);
}

static int flooded(int fd)
{
    static char zeros[CHUNK];
    memset(zeros, 'x', sizeof zeros);
    for (long size = 0; size < 4 * number("output"); size += CHUNK)
        if (write(fd, zeros, CHUNK) < 0)
            return STOPPED;
    return THROUGH;
}

ESCAPE(output_flood, SEEN, "all", "prints four times what it may")
{
    return flooded(1);
}

ESCAPE(error_flood, SEEN, "all", "prints four times what it may as errors")
{
    return flooded(2);
}

static int both_flooded(void)
{
    flooded(1);
    return flooded(2);
}

ESCAPE(output_flood_of_child, SEEN, "all", "has a child print four times what it may, on both outputs")
{
    return in_child(both_flooded);
}

/* So many children that live at once; they end by themselves. */
static int many(long (*make)(void))
{
    long most = 2 * number("processes"), made = 0;
    pid_t children[4096];
    while (made < most && made < 4096 && (children[made] = (pid_t)make()) > 0)
        made++;
    int error = errno;
    printf("%ld made\n", made);
    for (long i = 0; i < made; i++)
        kill(children[i], SIGKILL);
    while (waitpid(-1, NULL, __WALL) > 0)
        ;
    errno = error;
    return made >= most ? THROUGH : outcome_of(-1);
}

static long by_fork(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        pause();
        _exit(0);
    }
    return pid;
}

ESCAPE(processes_forked, WORD, "all", "forks twice as many processes as it may have")
{
    return many(by_fork);
}

static long by_clone(void)
{
    long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0) {
        alarm(10);
        pause();
        _exit(0);
    }
    return pid;
}

ESCAPE(processes_cloned, WORD, "all", "clones twice as many processes as it may have, without a signal at their ends")
{
    return many(by_clone);
}

static long in_a_session(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        alarm(10);
        pause();
        _exit(0);
    }
    return pid;
}

ESCAPE(processes_in_sessions, WORD, "all", "makes twice as many processes as it may have, each with a session")
{
    return many(in_a_session);
}

static void *wait_for_good(void *unused)
{
    pause();
    return unused;
}

ESCAPE(threads, WORD, "all", "makes twice as many threads as it may have")
{
    long most = 2 * number("processes"), made = 0;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_t thread;
    int error = 0;
    while (made < most && (error = pthread_create(&thread, &small, wait_for_good, NULL)) == 0)
        made++;
    errno = error;
    return made >= most ? THROUGH : outcome_of(-1);
}

/* A tree: each child makes more, as a bomb does, but to a depth that ends. */
static long tree(int depth, int *all)
{
    for (int i = 0; i < 4 && depth > 0; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGUSR1, SIG_DFL);
            tree(depth - 1, all);
            alarm(2);
            pause();
            _exit(0);
        }
        if (pid > 0)
            __atomic_add_fetch(all, 1, __ATOMIC_RELAXED);
    }
    return *all;
}

ESCAPE(processes_in_a_tree, WORD, "all", "forks a tree of processes, each of which forks")
{
    long most = 2 * number("processes");
    int *all = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    setpgid(0, 0);
    signal(SIGUSR1, SIG_IGN);
    int depth = 1;
    for (long size = 4; size < most && depth < 5; size = size * 4 + 4)
        depth++;
    tree(depth, all);
    struct timespec until, now;
    clock_gettime(CLOCK_MONOTONIC, &until);
    do {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (*(volatile int *)all < most && now.tv_sec < until.tv_sec + 2);
    int made = *(volatile int *)all;
    printf("%d made\n", made);
    kill(0, SIGUSR1);
    return made >= most ? THROUGH : STOPPED;
}

static long share;

static long with_memory(void)
{
    int ends[2];
    pipe(ends);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        char *memory =
            mmap(NULL, (size_t)share, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (long at = 0; memory != MAP_FAILED && at < share; at += 4096)
            memory[at] = 1;
        if (memory != MAP_FAILED)
            write(ends[1], "x", 1);
        close(ends[1]);
        pause();
        _exit(0);
    }
    close(ends[1]);
    char byte;
    long told = read(ends[0], &byte, 1);
    close(ends[0]);
    return told == 1 ? pid : -1;
}

static int memory_in_children(void)
{
    share = number("memory") / 2;
    pid_t children[8];
    int made = 0;
    while (made < 8 && (children[made] = (pid_t)with_memory()) > 0)
        made++;
    int error = errno;
    kept();
    bool all_live = waitpid(-1, NULL, WNOHANG) == 0;
    for (int i = 0; i < made; i++)
        kill(children[i], SIGKILL);
    errno = error;
    return made == 8 && all_live ? THROUGH : outcome_of(-1);
}

ESCAPE(memory_of_children, WORD, "all", "takes four times the memory that it may have in eight children, each with half of it")
{
    return in_child(memory_in_children);
}

static int many_open(void)
{
    long most = 2 * number("open_files"), made = 0;
    while (made < most && open("/dev/null", O_RDONLY) >= 0)
        made++;
    return made >= most ? THROUGH : outcome_of(-1);
}

ESCAPE(open_files, WORD, "all", "opens twice as many files as it may")
{
    return in_child(many_open);
}

static void burn(double seconds)
{
    struct timespec used;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while ((double)used.tv_sec + (double)used.tv_nsec / 1e9 < seconds);
}

static double cpu_time(void)
{
    return (double)number("cpu_milliseconds") / 1000;
}

ESCAPE(processor_time, WORD, "all", "computes for longer than it may")
{
    signal(SIGXCPU, SIG_IGN);
    burn(cpu_time() + (is_confined() ? 1.2 : 0.1)); /* a limit of the kernel's counts whole seconds */
    return THROUGH;
}

static int burn_one(void)
{
    signal(SIGXCPU, SIG_IGN);
    burn(cpu_time() * 0.8);
    return THROUGH;
}

ESCAPE(processor_time_of_children, WORD, "all", "has six children after each other compute, each for less than it may")
{
    for (int i = 0; i < (is_confined() ? 6 : 2); i++)
        if (in_child(burn_one) != THROUGH)
            return STOPPED;
    return THROUGH;
}

static int locked_memory(void)
{
    size_t size = 256 << 20;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return outcome_of(memory == MAP_FAILED ? -1 : mlock(memory, size));
}

ESCAPE(memory_locked, WORD, "root", "locks 256 MB, which the kernel can then not take back")
{
    return in_child(locked_memory);
}

static int stacked(void)
{
    struct rlimit large = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    setrlimit(RLIMIT_STACK, &large);
    setrlimit(RLIMIT_DATA, &large);
    setrlimit(RLIMIT_AS, &large);
    return bomb_of_anonymous();
}

ESCAPE(memory_after_raised_limits, WORD, "all", "raises its limits as far as it may, and takes four times the memory that it may have")
{
    return in_child(stacked);
}

static int dumped(void)
{
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = core.rlim_max;
    setrlimit(RLIMIT_CORE, &core);
    if (chdir(given("work")) < 0)
        return UNTRIED;
    signal(SIGABRT, SIG_DFL);
    abort();
}

ESCAPE(core_dumped, WORD, "some: RLIMIT_CORE is above 0", "crashes, and has the kernel write a core or run a program outside for it")
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        dumped();
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WCOREDUMP(status) ? THROUGH : STOPPED;
}

static bool core_limit_was_0;

__attribute__((constructor)) static void look_at_core_limit(void)
{
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    core_limit_was_0 = core.rlim_max == 0;
}

/* A limit of 1 keeps the program of core_pattern from being started. One of 0 does not: core(5). */
static int core_limit_set_by(long done)
{
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    if (core_limit_was_0)
        return untried("the caller has a hard limit of 0, which nobody can raise");
    printf("%ld, the limit is %lu\n", done, (unsigned long)core.rlim_cur);
    return core.rlim_cur == 1 ? STOPPED : THROUGH;
}

static const struct rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};

ESCAPE(core_limit_lowered, WORD, "some: RLIMIT_CORE is above 0", "sets its limit of a core to 0, with which the kernel runs a program outside when it crashes")
{
    return core_limit_set_by(setrlimit(RLIMIT_CORE, &no_core));
}

ESCAPE(core_limit_lowered_by_old_call, WORD, "some: RLIMIT_CORE is above 0", "does so with the call setrlimit, which libc does not make")
{
    return core_limit_set_by(syscall(SYS_setrlimit, RLIMIT_CORE, &no_core));
}

ESCAPE(core_limit_lowered_and_asked, WORD, "some: RLIMIT_CORE is above 0", "does so with prlimit, and asks for the limit before")
{
    struct rlimit before;
    return core_limit_set_by(prlimit(getpid(), RLIMIT_CORE, &no_core, &before));
}

ESCAPE(core_limit_lowered_by_high_bits, WORD, "some: RLIMIT_CORE is above 0", "does so with higher bits set beside the number of the limit")
{
    return core_limit_set_by(syscall(SYS_prlimit64, 0L, 1UL << 32 | RLIMIT_CORE, &no_core, NULL));
}
