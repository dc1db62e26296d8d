/* A helper makes the child of its request, waits for its end without reaping it, and reports why there is none. */
#include "check.h"
#include "helper_thread.h"

static const struct ramet_entry *entry;

static int run(void *fn, void *arg, void *context)
{
    (void)fn, (void)arg, (void)context;
    return FOUND;
}

static struct ramet_helper help(uint64_t flags, int pid_namespace, int *tid)
{
    static int arrived;
    struct ramet_request request = {.args.flags = flags, .args.exit_signal = SIGCHLD, .legacy = true};
    struct ramet_helper helper = {
        .request = &request, .entry = entry, .pid_namespace = pid_namespace, .stays = true, .arrived = &arrived};
    request.args.parent_tid = (uintptr_t)tid;
    arrived = -1;
    CHECK(ramet_run_helper(NULL, NULL, &helper) == 0);
    CHECK((arrived == 0) == (helper.error != 0));
    return helper;
}

int main(void)
{
    const struct ramet_entry wanted = {run, NULL, NULL, NULL, __NR_exit_group};
    siginfo_t info = {0};
    int tid = 0;
    entry = &wanted;
    CHECK(help(CLONE_PARENT_SETTID, RAMET_NO_NAMESPACE, &tid).error == 0);
    CHECK(waitid(P_PID, (id_t)tid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == tid); /* it has ended */
    CHECK(code_of(tid) == FOUND);
    struct ramet_helper refused = help(CLONE_THREAD, RAMET_NO_NAMESPACE, &tid);
    CHECK(refused.error == EINVAL && !refused.could_not_enter);
    struct ramet_helper outside = help(0, 1 << 20, &tid);
    CHECK(outside.error == EBADF && outside.could_not_enter);
    return passed();
}
