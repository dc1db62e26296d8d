/* What a seccomp filter hides counts as missing. */
#include "kernel_features.h"
#include "refused_call.h"

static void expect_hidden(int number, bool (*has)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(!refuse_call(number, ENOSYS) ? SKIPPED : has() ? 1 : FOUND);
    int code = code_of(pid);
    if (code == SKIPPED)
        SKIP("no seccomp filter can be installed");
    CHECK(code == FOUND);
}

int main(void)
{
    expect_hidden(__NR_clone3, ramet_has_clone3);
    expect_hidden(__NR_clone3, ramet_has_clear_sighand);
    expect_hidden(__NR_close_range, ramet_has_close_range);
    CHECK(ramet_has_clone3() == (ramet_syscall2(__NR_clone3, NULL, 0) == -EINVAL));
    CHECK(ramet_has_close_range() == (ramet_syscall3(__NR_close_range, ~0U, ~0U, 0) == 0));
    CHECK(ramet_has_clone3() || !ramet_has_clear_sighand());
    return passed();
}
