/* A namespace's init is a sibling of its maker, its stack is used again when it is gone, and it gives memory back. */
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>

#include "check.h"
#include "pid_namespace.h"

#define MANY 300 /* more than one block of stacks */
#define ROUNDS 20
#define LARGE ((size_t)64 << 20)

struct made {
    int count;
    pid_t pids[MANY];
};

static struct made *made;

static void make(int *pidfds, int count)
{
    made->count = 0;
    for (int i = 0; i < count; i++) {
        long pid = ramet_new_pid_namespace(&pidfds[i], -1);
        CHECK(pid > 0 && pidfds[i] >= 0 && fcntl(pidfds[i], F_GETFD) == FD_CLOEXEC);
        made->pids[made->count++] = (pid_t)pid;
    }
}

static void kill_all(const int *pidfds, int count)
{
    for (int i = 0; i < count; i++) {
        CHECK(ramet_syscall4(__NR_pidfd_send_signal, pidfds[i], SIGKILL, NULL, 0) == 0);
        CHECK(waitid(P_PIDFD, (id_t)pidfds[i], NULL, WEXITED | WNOHANG) == -1 && errno == ECHILD); /* the parent's */
        close(pidfds[i]);
    }
}

static int lines_of_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int lines = 0;
    CHECK(maps != NULL);
    for (int c; (c = fgetc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static void be_the_maker(void)
{
    static int pidfds[MANY];
    make(pidfds, MANY);
    kill_all(pidfds, MANY);
    int before = lines_of_maps();
    raise(SIGSTOP); /* until they are reaped, which all have left the memory then */
    for (int round = 0; round < ROUNDS; round++) {
        make(pidfds, MANY);
        kill_all(pidfds, MANY);
        raise(SIGSTOP);
    }
    CHECK(lines_of_maps() <= before + 1); /* one round begins on the stack that is tried last */
    _exit(FOUND);
}

static void reap_inits(void)
{
    for (int i = 0; i < made->count; i++)
        CHECK(code_of(made->pids[i]) == -SIGKILL);
}

/* With one process in the namespace, without which the init ends with its maker. */
static void make_one_that_gives_memory_back(int held)
{
    int pidfd;
    char *memory = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memset(memory, 1, LARGE);
    made->pids[0] = (pid_t)ramet_new_pid_namespace(&pidfd, held);
    CHECK(made->pids[0] > 0);
    CHECK(setns(pidfd, CLONE_NEWPID) == 0);
    long pid = ramet_syscall2(__NR_clone, CLONE_PARENT | SIGCHLD, NULL);
    if (pid == 0) {
        close(held);
        pause();
    }
    CHECK(pid > 0);
    made->pids[1] = (pid_t)pid; /* in memory that both share */
    ramet_begin_in_pid_namespace(made->pids[0], RAMET_FOR_ALL);
    _exit(FOUND);
}

static size_t resident_bytes_of(pid_t pid)
{
    char name[64];
    long size, resident;
    snprintf(name, sizeof name, "/proc/%d/statm", pid);
    FILE *file = fopen(name, "re");
    CHECK(file != NULL && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void check_memory_is_given_back(void)
{
    int ends[2];
    char byte;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t maker = fork();
    if (maker == 0)
        make_one_that_gives_memory_back(ends[1]);
    close(ends[1]);
    CHECK(read(ends[0], &byte, 1) == 0); /* when the init has */
    close(ends[0]);
    CHECK(code_of(maker) == FOUND);
    CHECK(resident_bytes_of(made->pids[0]) < LARGE / 16);
    CHECK(kill(made->pids[0], SIGKILL) == 0);
    CHECK(code_of(made->pids[1]) == -SIGKILL);
    CHECK(code_of(made->pids[0]) == -SIGKILL);
}

int main(void)
{
    int status;
    if (geteuid() != 0)
        SKIP("a pid namespace needs CAP_SYS_ADMIN");
    made = shared_memory(sizeof *made);
    pid_t maker = fork();
    if (maker == 0)
        be_the_maker();
    for (int round = 0; round <= ROUNDS; round++) {
        CHECK(waitpid(maker, &status, WUNTRACED) == maker && WIFSTOPPED(status));
        reap_inits();
        CHECK(kill(maker, SIGCONT) == 0);
    }
    CHECK(code_of(maker) == FOUND);
    check_memory_is_given_back();
    return passed();
}
