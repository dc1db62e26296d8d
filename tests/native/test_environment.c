/*
 * A copy of the environment is whole while another thread changes the environment. With musl nothing can be read then, not by
 * getenv() either: it frees strings that it has replaced. So there it is read between the changes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "environment.h"

enum { COPIES = 300, VARIABLES = 200 };

static atomic_bool done;
static pthread_mutex_t turn __attribute__((unused)) = PTHREAD_MUTEX_INITIALIZER;

static void take_turn(void)
{
#ifndef __GLIBC__
    pthread_mutex_lock(&turn);
#endif
}

static void end_turn(void)
{
#ifndef __GLIBC__
    pthread_mutex_unlock(&turn);
#endif
}

static void *change(void *unused)
{
    char name[32];
    for (unsigned i = 0; !done; i++) {
        snprintf(name, sizeof name, "CHANGES_%u", i % VARIABLES);
        take_turn();
        if (i / VARIABLES % 2 == 0)
            setenv(name, "1", 1);
        else
            unsetenv(name);
        end_turn();
    }
    return unused;
}

static void expect_whole(const struct ramet_environment *environment)
{
    const char *at = environment->text, *end = environment->text + environment->length;
    size_t count = 0;
    int kept = 0;
    for (; at < end; at += strlen(at) + 1, count++) {
        CHECK(strchr(at, '=') != NULL);
        kept += strcmp(at, "KEPT=this") == 0;
    }
    CHECK(count == environment->count && at == end);
    CHECK(kept == 1);
}

int main(void)
{
    pthread_t thread;
    setenv("KEPT", "this", 1);
    CHECK(pthread_create(&thread, NULL, change, NULL) == 0);
    for (int i = 0; i < COPIES; i++) {
        struct ramet_environment environment = {0};
        take_turn();
        CHECK(ramet_environment_take(&environment));
        end_turn();
        expect_whole(&environment);
        const char *text = environment.text;
        CHECK(ramet_environment_take(&environment) && environment.text == text); /* it is taken once */
        ramet_environment_release(&environment);
        CHECK(!environment.taken);
    }
    done = true;
    pthread_join(thread, NULL);
    return passed();
}
