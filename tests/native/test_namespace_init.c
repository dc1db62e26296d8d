/* The init reaps who is reparented to it, and ends with its parent or its child, or alone when its maker is gone. */
#include <string.h>

#include "futex_word.h"
#include "namespace_init.h"
#include "owner.h"

static int open_process(pid_t pid)
{
    int pidfd = (int)ramet_syscall2(__NR_pidfd_open, pid, 0);
    CHECK(pidfd >= 0);
    return pidfd;
}

/* It takes its name when it has set its parent-death signal. */
static void await_name(pid_t pid)
{
    char path[32], name[16] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    while (strcmp(name, "ramet-init") != 0) {
        FILE *comm = fopen(path, "re");
        CHECK(comm != NULL && fscanf(comm, "%15s", name) == 1);
        fclose(comm);
    }
}

static struct ramet_init_watch watch;

/* Makes the init of a namespace for the children of this process. */
static pid_t start_init(int parent, int maker, int begun)
{
    watch = (struct ramet_init_watch){.parent = parent, .maker = maker, .begun = begun};
    ramet_sigset mask = ramet_block_signals();
    long pid = start_sharer(ramet_run_namespace_init, &watch, CLONE_NEWPID);
    ramet_set_signal_mask(mask);
    CHECK(pid > 0);
    int pidfd = open_process((pid_t)pid);
    CHECK(setns(pidfd, CLONE_NEWPID) == 0);
    close(pidfd);
    return (pid_t)pid;
}

/* A child whose own child is orphaned, ends, and is not there any more, as a zombie would be. */
static void leave_an_orphan(void)
{
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            close(ends[0]);
            _exit(write(ends[1], &(pid_t){getpid()}, sizeof(pid_t)) == sizeof(pid_t) ? 0 : FAILED);
        }
        _exit(FOUND);
    }
    close(ends[1]);
    CHECK(code_of(child) == FOUND);
    pid_t orphan;
    CHECK(read(ends[0], &orphan, sizeof orphan) == sizeof orphan);
    CHECK(read(ends[0], &byte, 1) == 0);
    child = fork(); /* it sees the pids of the namespace */
    if (child == 0) {
        while (kill(orphan, 0) == 0)
            sched_yield();
        _exit(errno == ESRCH ? FOUND : FAILED);
    }
    CHECK(code_of(child) == FOUND);
}

static void be_watched(void)
{
    start_init(open_process(getpid()), -1, RAMET_FOR_ALL);
    if (fork() == 0)
        wait_for_ever(NULL, NULL, NULL);
    leave_an_orphan();
}

static void be_the_parent(void)
{
    await_name(start_init(-1, -1, RAMET_FOR_ALL));
    if (fork() == 0)
        wait_for_ever(NULL, NULL, NULL);
}

/* The end of a process that it is to take for its maker. */
static int end_of_maker[2];

static int start_maker(void)
{
    CHECK(pipe(end_of_maker) == 0);
    pid_t maker = fork();
    if (maker == 0) {
        char byte;
        close(end_of_maker[1]);
        _exit(read(end_of_maker[0], &byte, 1) == 0 ? FOUND : FAILED);
    }
    close(end_of_maker[0]);
    return maker;
}

/* With children in its namespace it goes on without its maker, and alone it ends. */
static void lose_the_maker(void)
{
    int ends[2], status;
    char byte;
    pid_t maker = start_maker();
    pid_t init = start_init(open_process(getpid()), open_process(maker), 0);
    CHECK(pipe(ends) == 0);
    pid_t last = fork();
    if (last == 0) {
        close(ends[1]);
        close(end_of_maker[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? FOUND : FAILED);
    }
    close(end_of_maker[1]);
    CHECK(code_of(maker) == FOUND);
    CHECK(waitpid(init, &status, __WALL | WNOHANG) == 0);
    close(ends[1]);
    CHECK(code_of(last) == FOUND);
    CHECK(code_of(init) == 0);
    _exit(FOUND);
}

/* With the child for which it was made it ends, and so do all others, whether the maker lives or not. */
static void lose_the_child(void)
{
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0);
    pid_t init = start_init(open_process(getpid()), open_process(getpid()), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? FOUND : FAILED);
    }
    pid_t other = fork();
    if (other == 0) {
        close(ends[1]);
        wait_for_ever(NULL, NULL, NULL);
    }
    ramet_futex_set(&watch.begun, RAMET_FIRST_CHILD);
    close(ends[0]);
    close(ends[1]);
    CHECK(code_of(child) == FOUND);
    CHECK(code_of(other) == -SIGKILL);
    CHECK(code_of(init) == 0);
    _exit(FOUND);
}

int main(void)
{
    if (geteuid() != 0)
        SKIP("a pid namespace needs CAP_SYS_ADMIN");
    expect_killed_with_owner(be_watched, 1); /* the init ends by itself */
    expect_killed_with_owner(be_the_parent, 2);
    expect_killed_with_owner(lose_the_maker, 0);
    expect_killed_with_owner(lose_the_child, 0);
    return passed();
}
