/* A process ends with all that it has started, with its parent or when it is told to. */
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "check.h"
#include "futex.h"
#include "own_tree.h"
#include "plain_user.h"

#define SIGNAL (SIGRTMAX - 2)
#define TOLD 30000 /* milliseconds */
#define BOMB 200

static int alive[2]; /* all of a tree have its writing end */

/* Starts a daemon, and a child in a session of its own that starts another. */
static void start_some(void)
{
    if (fork() == 0) {
        if (fork() == 0)
            pause();
        _exit(0);
    }
    if (fork() == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        if (fork() == 0)
            pause();
        pause();
    }
}

static void *start_in_thread(void *unused)
{
    (void)unused;
    start_some();
    pause();
    return NULL;
}

/* The root of a tree, which tells when it is there. */
static void be_the_root(int told)
{
    pthread_t thread;
    CHECK(ramet_end_tree_at(SIGNAL, true) == 0);
    start_some();
    CHECK(pthread_create(&thread, NULL, start_in_thread, NULL) == 0);
    CHECK(write(told, "", 1) == 1);
    for (;;)
        pause();
}

static pid_t begun(int *told)
{
    char byte;
    pid_t root = fork();
    if (root == 0)
        be_the_root(told[1]);
    CHECK(read(told[0], &byte, 1) == 1);
    return root;
}

/* A fork bomb: each of its processes forks, as long as there is room; not for ever, should the test fail. */
static void explode(int *is_full)
{
    const struct rlimit room = {BOMB, BOMB};
    const int64_t until = ramet_now() + 2 * TOLD * RAMET_MILLISECOND;
    CHECK(ramet_end_tree_at(SIGNAL, true) == 0);
    CHECK(setrlimit(RLIMIT_NPROC, &room) == 0);
    while (ramet_now() < until)
        if (fork() < 0)
            __atomic_store_n(is_full, 1, __ATOMIC_RELAXED);
    _exit(0);
}

/* Nobody of the tree has the pipe any more. */
static void check_all_gone(void)
{
    struct pollfd end = {.fd = alive[0], .events = POLLIN};
    CHECK(poll(&end, 1, TOLD) == 1 && (end.revents & POLLHUP));
}

static void make_pipe(void)
{
    CHECK(pipe(alive) == 0);
}

int main(void)
{
    int told[2], status;
    CHECK(pipe(told) == 0);

    make_pipe(); /* told to */
    pid_t root = begun(told);
    close(alive[1]);
    CHECK(kill(root, SIGNAL) == 0 && waitpid(root, &status, 0) == root);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    check_all_gone();
    close(alive[0]);

    make_pipe(); /* with its parent, which is killed */
    pid_t parent = fork();
    if (parent == 0) {
        begun(told);
        CHECK(write(told[1], "", 1) == 1);
        for (;;)
            pause();
    }
    char byte;
    close(alive[1]);
    CHECK(read(told[0], &byte, 1) == 1);
    CHECK(kill(parent, SIGKILL) == 0 && waitpid(parent, &status, 0) == parent);
    check_all_gone();
    close(alive[0]);

    become_plain_user(); /* with its parent, while it forks faster than one after the other is killed */
    make_pipe();
    int *is_full = shared_memory(sizeof *is_full);
    parent = fork();
    if (parent == 0) {
        if (fork() == 0)
            explode(is_full);
        for (;;)
            pause();
    }
    close(alive[1]);
    while (!__atomic_load_n(is_full, __ATOMIC_RELAXED))
        sched_yield();
    CHECK(kill(parent, SIGKILL) == 0 && waitpid(parent, &status, 0) == parent);
    check_all_gone();
    return passed();
}
