/* The watchdog kills the children that are given to it when their owner ends. */
#include "futex_word.h"
#include "owner.h"
#include "watchdog.h"

static struct ramet_watchdog watchdog;

static void start_watchdog(void)
{
    static char stack[16384] __attribute__((aligned(16)));
    const struct ramet_entry entry = {ramet_run_watchdog, &watchdog, NULL, NULL, __NR_exit_group};
    struct ramet_request request = {.args.flags = CLONE_VM, .legacy = true};
    request.args.stack = (uintptr_t)stack;
    request.args.stack_size = sizeof stack;
    watchdog.stage = RAMET_WATCHDOG_CHANGES;
    watchdog.owner = getpid();
    watchdog.pidfd = (int)ramet_syscall2(__NR_pidfd_open, watchdog.owner, 0);
    CHECK(watchdog.pidfd >= 0);
    CHECK(ramet_make_task(&request, &entry) > 0);
    ramet_futex_await_change(&watchdog.stage, RAMET_WATCHDOG_CHANGES);
    CHECK(watchdog.stage == RAMET_WATCHDOG_WATCHES);
}

static void own_a_child(void)
{
    start_watchdog();
    watchdog.watched.pids[7] = (int)start_sharer(wait_for_ever, NULL, 0);
}

int main(void)
{
    CHECK(!ramet_watchdog_has_children(&watchdog));
    watchdog.watched.pids[RAMET_WATCHED_AT_ONCE - 1] = -1;
    CHECK(ramet_watchdog_has_children(&watchdog));
    watchdog.watched.pids[RAMET_WATCHED_AT_ONCE - 1] = 0;
    expect_killed_with_owner(own_a_child, 1);
    return passed();
}
