/* The bell's end wakes a wait of the thread that has hung it, with no signal; and it ends with that thread. */
#include "check.h"
#include "trace_bell.h"

#include <pthread.h>

static struct ramet_bell bell;
static volatile sig_atomic_t signals;

static void count(int number)
{
    (void)number;
    signals++;
}

static void *ring(void *unused)
{
    ramet_bell_ring(&bell);
    return unused;
}

static void its_end_is_heard(void)
{
    pthread_t other;
    bell.rung = 0;
    CHECK(ramet_bell_hang(&bell) == 0 && bell.pid > 0);
    CHECK(waitpid(bell.pid, NULL, __WALL | WNOHANG) == 0);
    CHECK(pthread_create(&other, NULL, ring, NULL) == 0);
    CHECK(waitpid(-1, NULL, __WALL | __WNOTHREAD) == bell.pid);
    CHECK(pthread_join(other, NULL) == 0 && signals == 0);
}

static void one_that_was_rung_ends_at_once(void)
{
    CHECK(bell.rung == 1 && ramet_bell_hang(&bell) == 0);
    CHECK(waitpid(bell.pid, NULL, __WALL) == bell.pid);
}

static void *hang(void *unused)
{
    bell.rung = 0;
    CHECK(ramet_bell_hang(&bell) == 0);
    return unused;
}

static void it_ends_with_its_thread(void)
{
    pthread_t other;
    int status;
    CHECK(pthread_create(&other, NULL, hang, NULL) == 0 && pthread_join(other, NULL) == 0);
    CHECK(waitpid(bell.pid, &status, __WALL) == bell.pid);
    CHECK(WIFEXITED(status) || WTERMSIG(status) == SIGKILL);
}

int main(void)
{
    CHECK(signal(SIGCHLD, count) != SIG_ERR);
    its_end_is_heard();
    one_that_was_rung_ends_at_once();
    it_ends_with_its_thread();
    return passed();
}
