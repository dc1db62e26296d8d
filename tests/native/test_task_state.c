/* What /proc has of a task is read right: its state, its threads, and the system call in which it is. */
#include <pthread.h>

#include "check.h"
#include "futex_word.h"
#include "task_state.h"

static int word;

static void *wait_on_word(void *tid)
{
    ramet_futex_set(tid, (int)ramet_syscall0(__NR_gettid));
    ramet_futex_await_change(&word, 0);
    return NULL;
}

static void await_state(long tid, char state)
{
    while (ramet_task_state(tid) != state)
        sched_yield();
}

static void a_thread(void)
{
    pthread_t thread;
    int tid = 0;
    long tids[3], one[1];
    CHECK(pthread_create(&thread, NULL, wait_on_word, &tid) == 0);
    ramet_futex_await_change(&tid, 0);
    await_state(tid, 'S');
    CHECK(ramet_task_numbers(getpid(), tids, 3) == 2 && tids[0] == getpid() && tids[1] == tid);
    CHECK(ramet_task_numbers(getpid(), one, 1) == 1);
    CHECK(ramet_task_threads(getpid()) == 2);
    struct ramet_syscall_state state = ramet_task_syscall(tid);
    if (state.stack_pointer == 0)
        SKIP("/proc/TID/syscall cannot be read");
    CHECK(state.call == __NR_futex && state.first == (unsigned long)&word);
    CHECK(ramet_waits_in_futex(&state) && ramet_is_at_safe_point(&state));
    ramet_futex_set(&word, 1);
    pthread_join(thread, NULL);
}

static void a_child(void)
{
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    await_state(pid, 'S');
    kill(pid, SIGSTOP);
    await_state(pid, 'T');
    CHECK(!ramet_task_threads_have_to_end(pid));
    CHECK(ramet_task_runs_makers_program(pid) && !ramet_task_runs_makers_program(getpid()));
    kill(pid, SIGKILL);
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    CHECK(ramet_task_state(pid) == 'Z');
    CHECK(code_of(pid) == -SIGKILL);
    CHECK(ramet_task_state(pid) == '\0' && ramet_task_threads(pid) == 0 && !ramet_task_runs_makers_program(pid));
    CHECK(ramet_task_syscall(pid).call == -1 && ramet_task_syscall(pid).stack_pointer == 0);
}

int main(void)
{
    const struct ramet_syscall_state computes = {.call = -1}, allocates = {.call = __NR_mmap};
    CHECK(ramet_task_state(getpid()) == 'R');
    CHECK(!ramet_is_at_safe_point(&computes) && !ramet_is_at_safe_point(&allocates));
    a_child();
    a_thread();
    return passed();
}
