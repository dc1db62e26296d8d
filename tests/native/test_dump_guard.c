/* A child in this memory that dies of a signal with a core takes nobody along, whatever the kernel. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "dump_guard.h"

#define STACK_BYTES (256 * 1024)

static struct ramet_dump_guard guard;

/* The depth is one that no stack has, and no compiler knows. */
static volatile long depth = 1L << 40;

static int overflow(volatile char *outer)
{
    volatile char room[1024];
    memset((void *)room, *outer, sizeof room);
    return depth-- > 0 ? overflow(room) + room[1] : 0;
}

/* No compiler knows that nothing is there. */
static volatile uintptr_t nowhere = 8;

static int die(void *arg)
{
    const int number = *(int *)arg;
    volatile char none = 0;
    ramet_guard_dumps(&guard);
    if (number == 0)
        overflow(&none);
    if (number == SIGSEGV)
        *(volatile int *)nowhere = 1;
    /* musl's raise() takes the tid from the thread block, which is the caller's. */
    ramet_syscall3(__NR_tgkill, ramet_syscall0(__NR_getpid), ramet_syscall0(__NR_gettid), number);
    return 0;
}

/* The guard page is below it. */
static char *stack_top(void)
{
    char *pages = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages, 4096, PROT_NONE);
    return pages + STACK_BYTES;
}

int main(void)
{
    int numbers[] = {0, SIGSEGV, SIGQUIT, SIGABRT, SIGXCPU};
    char *top = stack_top();
    signal(SIGQUIT, SIG_DFL); /* a shell ignores it for what runs in its background */
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int status = 0;
        pid_t pid = clone(die, top, CLONE_VM | SIGCHLD, &numbers[i]);
        CHECK(pid > 0);
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == (numbers[i] == 0 ? SIGSEGV : numbers[i]));
        CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
        ramet_restore_after_dump(&guard);
        CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
    }
    return passed();
}
