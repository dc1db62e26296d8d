/* A fork begins a new epoch, and a child that shares the memory is in the same one, which it does not own. */
#include "check.h"
#include "epoch.h"

static uint64_t epoch;

/* Shares the thread pointer, and so this function may call what does not write there. */
static int in_shared_memory(void *fn, void *arg, void *context)
{
    (void)fn, (void)arg, (void)context;
    return ramet_epoch() == epoch && !ramet_owns_memory() ? FOUND : 1;
}

int main(void)
{
    epoch = ramet_epoch();
    if (epoch == 0)
        SKIP("the kernel has no MADV_WIPEONFORK");
    CHECK(ramet_epoch() == epoch && ramet_owns_memory());
    CHECK(code_of(start_sharer(in_shared_memory, NULL, CLONE_VFORK)) == FOUND);
    int *wiped = ramet_wiped_on_fork(sizeof *wiped);
    *wiped = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(ramet_epoch() != epoch && ramet_epoch() != 0 && ramet_owns_memory() && *wiped == 0 ? FOUND : 1);
    CHECK(code_of(pid) == FOUND);
    CHECK(ramet_epoch() == epoch && *wiped == 1);
    munmap(wiped, sizeof *wiped);
    return passed();
}
