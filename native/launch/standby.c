/* A queue and its threads, in a page that the kernel wipes in the child of a fork, which has none of them. */
#define _GNU_SOURCE
#include "standby.h"

#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>

#include "memory.h"
#include "pool.h"

/* A birth that hangs, in an exec from a dead network file system, takes one of them. */
#define MOST_THREADS 16
#define STACK_BYTES 65536

/* All zero is a mutex that is free, and a condition for which nobody waits. */
struct standby {
    pthread_mutex_t lock;
    pthread_cond_t changed, ended;
    int threads;
    int idle; /* less than nothing by as many errands as wait for a thread */
    bool draining;
    struct ramet_errand *first;
};

static struct standby *standby;

static void __attribute__((constructor)) make_standby(void)
{
    standby = ramet_wiped_on_fork(sizeof *standby);
}

static struct ramet_errand **end_of_queue(void)
{
    struct ramet_errand **link = &standby->first;
    while (*link != NULL)
        link = &(*link)->next;
    return link;
}

/* The next errand, or NULL when this thread is to end. Called with the lock. */
static struct ramet_errand *next(void)
{
    while (standby->first == NULL && !standby->draining)
        pthread_cond_wait(&standby->changed, &standby->lock);
    struct ramet_errand *errand = standby->first;
    if (errand != NULL)
        standby->first = errand->next;
    return errand;
}

static void *stand_by(void *unused)
{
    struct ramet_errand *errand;
    (void)unused;
    prctl(PR_SET_NAME, "ramet sponsor");
    pthread_mutex_lock(&standby->lock);
    while ((errand = next()) != NULL) {
        pthread_mutex_unlock(&standby->lock);
        errand->run(errand);
        pthread_mutex_lock(&standby->lock);
        standby->idle++; /* before anybody knows, who may have another one for us */
        pthread_mutex_unlock(&standby->lock);
        errand->tell(errand);
        pthread_mutex_lock(&standby->lock);
    }
    standby->idle--;
    standby->threads--;
    pthread_cond_broadcast(&standby->ended);
    pthread_mutex_unlock(&standby->lock);
    return NULL;
}

static int add_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int error = pthread_create(&thread, &attributes, stand_by, NULL);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        return standby->threads > 0 ? 0 : error;
    standby->threads++;
    standby->idle++;
    return 0;
}

/* Called with the lock. */
static int take(struct ramet_errand *errand)
{
    int error = standby->idle <= 0 && standby->threads < MOST_THREADS ? add_thread() : 0;
    if (error != 0)
        return error;
    standby->idle--;
    errand->next = NULL;
    *end_of_queue() = errand;
    return 0;
}

static bool is_ours(void)
{
    return standby != NULL && ramet_pool_is_ours();
}

int ramet_standby_take(struct ramet_errand *errand)
{
    if (!is_ours())
        return ECHILD;
    pthread_mutex_lock(&standby->lock);
    int error = take(errand);
    pthread_mutex_unlock(&standby->lock);
    pthread_cond_signal(&standby->changed); /* without the lock, which whoever wakes up wants */
    return error;
}

bool ramet_standby_give_back(struct ramet_errand *errand)
{
    pthread_mutex_lock(&standby->lock);
    struct ramet_errand **link = &standby->first;
    while (*link != NULL && *link != errand)
        link = &(*link)->next;
    bool found = *link != NULL;
    if (found) {
        *link = errand->next;
        standby->idle++;
    }
    pthread_mutex_unlock(&standby->lock);
    return found;
}

void ramet_standby_drain(void)
{
    if (!is_ours())
        return;
    pthread_mutex_lock(&standby->lock);
    standby->draining = true;
    pthread_cond_broadcast(&standby->changed);
    while (standby->idle > 0)
        pthread_cond_wait(&standby->ended, &standby->lock);
    standby->draining = false;
    pthread_mutex_unlock(&standby->lock);
}
