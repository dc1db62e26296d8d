/* A deadline thread kills a child that outlives its deadline, and no other. */
#include "check.h"
#include "deadline_thread.h"

#define MILLISECOND INT64_C(1000000)
#define HOUR (3600000 * MILLISECOND)

static bool is_killed(bool ends, int64_t timeout)
{
    int error = 0;
    struct ramet_deadline_thread *thread = ramet_deadline_thread_start(&error);
    CHECK(thread != NULL && error == 0);
    pid_t pid = fork();
    if (pid == 0) {
        while (!ends)
            pause();
        _exit(FOUND);
    }
    int pidfd = (int)ramet_syscall2(__NR_pidfd_open, pid, 0);
    CHECK(pidfd >= 0);
    ramet_deadline_thread_watch(thread, pid, pidfd, timeout);
    bool killed = ramet_deadline_thread_has_killed(thread);
    CHECK(code_of(pid) == (killed ? -SIGKILL : FOUND));
    CHECK(close(pidfd) == -1); /* the thread has closed it */
    ramet_deadline_thread_release(thread);
    return killed;
}

int main(void)
{
    int error = 0;
    CHECK(is_killed(false, MILLISECOND));
    CHECK(!is_killed(true, HOUR));
    ramet_deadline_thread_release(ramet_deadline_thread_start(&error)); /* without a child */
    return passed();
}
