/* The parent's side of the gate: it stops the child first, and then opens the gate. */
#define _GNU_SOURCE
#include "clone_stopped.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "futex_word.h"
#include "proc_file.h"
#include "task_state.h"

static struct ramet_gate *new_gate(void)
{
    void *page = mmap(NULL, sizeof(struct ramet_gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? NULL : page;
}

/* WNOWAIT leaves the report of the stop, or of the end, to the task that waits for the child. */
static void await_stop(long pid)
{
    siginfo_t info;
    long error;
    do
        error = ramet_syscall5(__NR_waitid, P_PID, pid, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL, NULL);
    while (error == -EINTR);
    if (error == 0)
        return;
    /* With CLONE_PARENT it is another process's child, and the kernel reports its stop to that one. */
    const long number = ramet_proc_number_of_process(pid, -1);
    for (char state = 'R'; state != '\0' && strchr("RSD", state) != NULL; state = ramet_task_state(number))
        sched_yield();
}

void ramet_stop(long pid)
{
    kill((pid_t)pid, SIGSTOP);
    await_stop(pid);
}

static void stop_and_open(struct ramet_gate *gate, long pid, bool shares_memory)
{
    if (pid > 0) {
        ramet_stop(pid);
        ramet_futex_set(&gate->open, 1);
    }
    /* In shared memory the child unmaps the page when it has passed. */
    if (pid <= 0 || !shares_memory)
        munmap(gate, sizeof *gate);
}

long ramet_clone(const struct ramet_request *request, const struct ramet_entry *entry)
{
    if (!request->stopped)
        return ramet_make_task(request, entry);
    struct ramet_gate *gate = new_gate();
    if (gate == NULL)
        return -ENOMEM;
    gate->run = entry->run;
    gate->context = entry->context;
    struct ramet_entry gated = *entry;
    gated.run = ramet_run_gated;
    gated.context = gate;
    long pid = ramet_make_task(request, &gated);
    stop_and_open(gate, pid, (request->args.flags & CLONE_VM) != 0);
    return pid;
}

/* Besides ramet_clone(): this child has no entry that could wait at the gate, it returns and waits here. */
long ramet_clone_twice(const struct ramet_request *request)
{
    if (!request->stopped)
        return ramet_make_task_twice(request);
    struct ramet_gate *gate = new_gate();
    if (gate == NULL)
        return -ENOMEM;
    long pid = ramet_make_task_twice(request);
    if (pid == 0)
        ramet_gate_wait(gate);
    stop_and_open(gate, pid, false);
    return pid;
}
