/* A task is found in a /proc that has other numbers than this pid namespace, and nobody else in its place. */
#include <fcntl.h>
#include <pthread.h>

#include "check.h"
#include "futex_word.h"
#include "proc_file.h"
#include "task_state.h"

static int word, tid_of_thread;
static long number_of_thread;

static void *wait_on_word(void *unused)
{
    (void)unused;
    number_of_thread = ramet_proc_own_number();
    ramet_futex_set(&tid_of_thread, (int)ramet_syscall0(__NR_gettid));
    ramet_futex_await_change(&word, 0);
    return NULL;
}

static void a_thread(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_on_word, NULL) == 0);
    ramet_futex_await_change(&tid_of_thread, 0);
    CHECK(number_of_thread > 0 && ramet_proc_number_of_task(tid_of_thread) == number_of_thread);
    CHECK(ramet_proc_number_of_task(ramet_syscall0(__NR_gettid)) == ramet_proc_own_number());
    CHECK(ramet_proc_number_of_process(getpid(), -1) == ramet_proc_own_number());
    CHECK(ramet_task_threads(ramet_proc_number_of_process(getpid(), -1)) == 2);
    CHECK(!ramet_task_has_ended(tid_of_thread) && !ramet_listed_task_has_ended(number_of_thread));
    ramet_futex_set(&word, 1);
    pthread_join(thread, NULL);
    while (!ramet_listed_task_has_ended(number_of_thread) || !ramet_task_has_ended(tid_of_thread))
        sched_yield();
}

static void keep(long pid, void *last)
{
    *(long *)last = pid;
}

static void its_parent(long number)
{
    const int threads = open("/proc/thread-self/..", O_RDONLY | O_DIRECTORY);
    long last = 0;
    CHECK(threads >= 0 && ramet_proc_each_child(threads, ramet_proc_own_number(), keep, &last) && last == number);
    CHECK(!ramet_proc_each_child(threads, number, keep, &last));
    CHECK(ramet_proc_parent(number) == ramet_proc_own_number());
    close(threads);
}

static void a_child(void)
{
    char status[2048], name[16];
    int names[2];
    CHECK(pipe(names) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        snprintf(name, sizeof name, "%ld", ramet_proc_own_number());
        CHECK(write(names[1], name, sizeof name) == sizeof name);
        for (;;)
            pause();
    }
    CHECK(read(names[0], name, sizeof name) == sizeof name);
    long number = atol(name);
    int pidfd = (int)ramet_syscall2(__NR_pidfd_open, pid, 0);
    CHECK(number > 0 && pidfd >= 0);
    CHECK(ramet_proc_number_of_process(pid, -1) == number && ramet_proc_number_of_process(pid, pidfd) == number);
    CHECK(ramet_proc_number_of_task(pid) == number);
    its_parent(number);
    CHECK(ramet_proc_read(number, "status", status, sizeof status) > 0);
    CHECK(kill(pid, SIGKILL) == 0);
    while (ramet_task_state(number) != 'Z')
        sched_yield();
    CHECK(ramet_task_has_ended(pid));
    CHECK(code_of(pid) == -SIGKILL);
    CHECK(ramet_task_has_ended(pid) && ramet_listed_task_has_ended(number));
    CHECK(ramet_task_state(ramet_proc_number_of_process(pid, pidfd)) == '\0');
    close(pidfd);
    close(names[0]);
    close(names[1]);
}

static void both(void)
{
    word = tid_of_thread = 0;
    a_thread();
    a_child();
}

/* The first of a new namespace, whose pid is 1: a stranger's in this /proc. */
static void in_new_namespace(void)
{
    CHECK(getpid() == 1 && ramet_proc_own_number() != 1);
    pid_t stranger = fork();
    if (stranger == 0) {
        both();
        _exit(FOUND);
    }
    CHECK(code_of(stranger) == FOUND);
    both();
    _exit(FOUND);
}

int main(void)
{
    if (ramet_proc_own_number() == 0)
        SKIP("there is no /proc");
    CHECK(ramet_proc_own_number() == getpid() && ramet_proc_number_of_process(getpid(), -1) == getpid());
    both();
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        SKIP("a pid namespace cannot be made");
    pid_t pid = fork();
    if (pid == 0)
        in_new_namespace();
    CHECK(code_of(pid) == FOUND);
    return passed();
}
