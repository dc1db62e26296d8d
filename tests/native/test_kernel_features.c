/* What a seccomp filter hides counts as missing. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "check.h"
#include "kernel_features.h"

/* 0 where there can be no filter. */
static int hide(int number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void expect_hidden(int number, bool (*has)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(!hide(number) ? SKIPPED : has() ? 1 : FOUND);
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
