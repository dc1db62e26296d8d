/* A child ends with its parent's process, and not with the thread that made it. */
#include <pthread.h>
#include <sys/prctl.h>

#include "check.h"
#include "parent_death.h"

static int asked[2], answered[2];

static void close_all(int *pipe)
{
    close(pipe[0]);
    close(pipe[1]);
}

/* Answers whatever it reads: so that it is seen to live. */
static void answer(pid_t owner)
{
    char byte;
    ramet_die_with_process(owner);
    while (write(answered[1], "", 1) == 1 && read(asked[0], &byte, 1) == 1)
        ;
    _exit(FAILED);
}

static void *make_child(void *owner)
{
    if (fork() == 0)
        answer(*(pid_t *)owner);
    return NULL;
}

/* A process whose thread makes the child, and ends before the process does. */
static void be_the_parent(void)
{
    pthread_t thread;
    pid_t own = getpid();
    char byte;
    CHECK(pthread_create(&thread, NULL, make_child, &own) == 0);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++)
        CHECK(read(answered[0], &byte, 1) == 1 && write(asked[1], "", 1) == 1);
    _exit(FOUND);
}

int main(void)
{
    int status;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    CHECK(pipe(asked) == 0 && pipe(answered) == 0);
    pid_t parent = fork();
    if (parent == 0)
        be_the_parent();
    CHECK(code_of(parent) == FOUND);
    CHECK(wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close_all(asked);
    close_all(answered);
    return passed();
}
