/* None of a tree can start a process any more, and then it is killed; who does this has no limit. */
#include <sys/prctl.h>
#include <sys/resource.h>

#include "check.h"
#include "descendants.h"
#include "plain_user.h"

static int go[2], told[2];

/* Tells whether it can fork, once it is let go. */
static void try_to_fork(void)
{
    char byte;
    CHECK(write(told[1], "r", 1) == 1);
    CHECK(read(go[0], &byte, 1) == 1);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK(write(told[1], pid < 0 && errno == EAGAIN ? "n" : "y", 1) == 1);
    for (;;)
        pause();
}

/* A child, its child in a session of its own, and a child of that which has lost its parent by the time when all have told. */
static void start_three(void)
{
    if (fork() == 0) {
        if (fork() == 0) {
            setsid();
            const pid_t middle = fork();
            if (middle == 0) {
                if (fork() == 0)
                    try_to_fork();
                _exit(0);
            }
            CHECK(waitpid(middle, NULL, 0) == middle);
            try_to_fork();
        }
        try_to_fork();
    }
}

static void expect(int times, char expected)
{
    char byte;
    while (times-- > 0)
        CHECK(read(told[0], &byte, 1) == 1 && byte == expected);
}

int main(void)
{
    struct rlimit before, after;
    become_plain_user();
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    CHECK(getrlimit(RLIMIT_NPROC, &before) == 0);
    CHECK(ramet_still_descendants() == 0);

    CHECK(pipe(go) == 0 && pipe(told) == 0);
    start_three();
    expect(3, 'r');
    CHECK(ramet_still_descendants() >= 3);
    CHECK(ramet_still_descendants() == 0);
    CHECK(getrlimit(RLIMIT_NPROC, &after) == 0 && after.rlim_cur == before.rlim_cur && after.rlim_max == before.rlim_max);
    CHECK(write(go[1], "...", 3) == 3);
    expect(3, 'n');

    ramet_kill_descendants();
    while (waitpid(-1, NULL, 0) > 0)
        ;
    return passed();
}
