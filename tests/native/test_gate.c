/* A child waits at its gate until that is opened; then it unmaps the gate and runs what it was to run. */
#include "check.h"
#include "futex_word.h"
#include "task_state.h"

static int fn, arg;

static int run(void *got_fn, void *got_arg, void *gate)
{
    bool unmapped = msync(gate, sizeof(struct ramet_gate), MS_ASYNC) == -1 && errno == ENOMEM;
    return got_fn == &fn && got_arg == &arg && unmapped ? FOUND : 1;
}

int main(void)
{
    struct ramet_gate *gate = shared_memory(sizeof *gate);
    *gate = (struct ramet_gate){.run = run, .context = gate};
    pid_t pid = fork();
    if (pid == 0)
        _exit(ramet_run_gated(&fn, &arg, gate));
    CHECK(pid > 0);
    while (ramet_task_state(pid) != 'S')
        sched_yield();
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    ramet_futex_set(&gate->open, 1);
    CHECK(code_of(pid) == FOUND);
    munmap(gate, sizeof *gate);
    return passed();
}
