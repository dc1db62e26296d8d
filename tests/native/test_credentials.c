/* A child that gives up a right is seen to differ from one that does not: by itself, and by its parent after its end. */
#include <linux/capability.h>
#include <sys/prctl.h>

#include "check.h"
#include "credentials.h"

static void give_up_a_right(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Which ramet_credentials_now() does not see. */
static void give_up_a_bound(void)
{
    prctl(PR_CAPBSET_DROP, CAP_WAKE_ALARM, 0, 0, 0);
}

static void keep_all(void)
{
}

static void by_the_child(void (*change)(void), bool changes)
{
    uint64_t before = ramet_credentials_now();
    pid_t pid = fork();
    if (pid == 0) {
        change();
        _exit((ramet_credentials_now() != before) == changes ? FOUND : 1);
    }
    CHECK(code_of(pid) == FOUND);
}

static bool by_the_parent(void (*change)(void))
{
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0) {
        change();
        _exit(FOUND);
    }
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    bool same = ramet_credentials_are_ours(pid, -1, false);
    CHECK(code_of(pid) == FOUND);
    CHECK(!ramet_credentials_are_ours(pid, -1, false)); /* it is reaped */
    return same;
}

int main(void)
{
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0)
        SKIP("no_new_privs is set already");
    by_the_child(keep_all, false);
    by_the_child(give_up_a_right, true);
    CHECK(by_the_parent(keep_all));
    CHECK(!by_the_parent(give_up_a_right));
    bool may = geteuid() == 0 && prctl(PR_CAPBSET_READ, CAP_WAKE_ALARM, 0, 0, 0) == 1;
    CHECK(by_the_parent(give_up_a_bound) == !may);
    give_up_a_bound();
    CHECK(by_the_parent(keep_all)); /* what was kept of the parent is read again */
    give_up_a_right();
    CHECK(by_the_parent(keep_all));
    CHECK(ramet_namespaces_of(0) != 0 && ramet_namespaces_of(0) == ramet_namespaces_of(getpid()));
    CHECK(ramet_namespaces_of(INT32_MAX) == 0);
    return passed();
}
