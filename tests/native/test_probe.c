/* A probe reports its pids, stays until it is let go, and ends with its parent. */
#include "check.h"
#include "futex_word.h"

int main(void)
{
    struct ramet_probe *probe = shared_memory(sizeof *probe);
    pid_t pid = fork();
    if (pid == 0)
        _exit(ramet_run_probe(NULL, NULL, probe));
    ramet_futex_await_change(&probe->arrived, 0);
    CHECK(probe->pid == pid && probe->tid == pid && probe->ppid == getpid());
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    ramet_futex_set(&probe->open, 1);
    CHECK(code_of(pid) == 0);
    munmap(probe, sizeof *probe);
    return passed();
}
