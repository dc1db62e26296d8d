/* A request makes the same child by clone3 and by clone: on its stack, with fn, arg and context, and with its words. */
#include <string.h>

#include "check.h"
#include "kernel_features.h"

static char stack[65536] __attribute__((aligned(16)));
static int fn, arg, context;

static int run(void *got_fn, void *got_arg, void *got_context)
{
    char local;
    if (got_fn != &fn || got_arg != &arg || got_context != &context)
        return 1;
    return &local >= stack && &local < stack + sizeof stack ? FOUND : 2;
}

static struct ramet_request request_for(bool legacy, uint64_t flags)
{
    return (struct ramet_request){
        .args = {.flags = flags, .exit_signal = SIGCHLD}, .size = sizeof(struct ramet_clone_args), .legacy = legacy};
}

static void on_a_stack(bool legacy)
{
    const struct ramet_entry entry = {run, &context, &fn, &arg, __NR_exit_group};
    struct ramet_request request = request_for(legacy, CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID);
    int tid = 0;
    memset(stack, 0, sizeof stack);
    request.args.stack = (uintptr_t)stack;
    request.args.stack_size = sizeof stack;
    request.args.parent_tid = (uintptr_t)&tid;
    long pid = ramet_make_task(&request, &entry);
    CHECK(pid == tid);
    CHECK(code_of(pid) == FOUND);
}

static void with_a_pidfd(bool legacy)
{
    struct ramet_request request = request_for(legacy, CLONE_PIDFD);
    int pidfd = -1;
    request.args.pidfd = (uintptr_t)&pidfd;
    long pid = ramet_make_task_twice(&request);
    if (pid == 0)
        _exit(FOUND);
    CHECK(pidfd >= 0);
    CHECK(code_of(pid) == FOUND);
    close(pidfd);
}

static void flags_go_with_their_address(void)
{
    struct ramet_clone_args args = {.flags = CLONE_VM | CLONE_CHILD_SETTID, .child_tid = 1};
    ramet_set_address(&args, CLONE_CHILD_CLEARTID, &fn);
    ramet_set_address(&args, CLONE_SETTLS, &arg);
    ramet_set_address(&args, CLONE_PARENT_SETTID, &context);
    CHECK(args.flags == (CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_SETTLS | CLONE_PARENT_SETTID));
    CHECK(args.child_tid == (uintptr_t)&fn && args.tls == (uintptr_t)&arg && args.parent_tid == (uintptr_t)&context);
}

static void refused(bool legacy)
{
    struct ramet_request request = request_for(legacy, CLONE_THREAD);
    CHECK(ramet_make_task_twice(&request) == -EINVAL);
}

int main(void)
{
    flags_go_with_their_address();
    for (int legacy = !ramet_has_clone3(); legacy <= 1; legacy++) {
        on_a_stack(legacy);
        with_a_pidfd(legacy);
        refused(legacy);
    }
    return passed();
}
