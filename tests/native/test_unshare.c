/* A fork that unshares is the child of its request, or leaves nothing but the errno of its unshare. */
#include <string.h>
#include <sys/utsname.h>

#include "check.h"
#include "unshare.h"

static struct ramet_request request_for(uint64_t flags)
{
    return (struct ramet_request){.args = {.flags = flags, .exit_signal = SIGCHLD}, .legacy = true};
}

static void what_can_be_unshared(void)
{
    struct ramet_request namespaces = request_for(CLONE_NEWUTS | CLONE_PIDFD), shared = request_for(CLONE_FS),
                         stopped = request_for(CLONE_NEWUTS), silent = request_for(CLONE_NEWUTS);
    stopped.stopped = true;
    silent.args.exit_signal = 0;
    CHECK(ramet_can_unshare(&namespaces));
    CHECK(!ramet_can_unshare(&shared) && !ramet_can_unshare(&stopped) && !ramet_can_unshare(&silent));
}

static void a_plain_fork_with_a_pidfd(void)
{
    struct ramet_request request = request_for(CLONE_PIDFD);
    int pidfd = -1;
    request.args.pidfd = (uintptr_t)&pidfd;
    long pid = ramet_fork_and_unshare(&request);
    if (pid == 0)
        _exit(FOUND);
    CHECK(pidfd >= 0 && close(pidfd) == 0);
    CHECK(code_of(pid) == FOUND);
}

static void a_new_namespace(void)
{
    const struct ramet_request request = request_for(CLONE_NEWUTS);
    struct utsname before, after;
    uname(&before);
    long pid = ramet_fork_and_unshare(&request);
    if (pid == 0)
        _exit(sethostname("leaf", 4) == 0 ? FOUND : 1);
    if (pid == -EPERM)
        return; /* without CAP_SYS_ADMIN; passed() sees that there is no child */
    CHECK(code_of(pid) == FOUND);
    uname(&after);
    CHECK(strcmp(before.nodename, after.nodename) == 0);
}

int main(void)
{
    what_can_be_unshared();
    a_plain_fork_with_a_pidfd();
    a_new_namespace();
    return passed();
}
