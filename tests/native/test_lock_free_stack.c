/* Nothing that several threads push is lost or taken twice. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "lock_free_stack.h"

enum { THREADS = 3, EACH = 20000 };

struct item {
    struct ramet_link link;
    int taken;
};

static struct ramet_link *stack;
static struct item items[THREADS][EACH];
static atomic_int pushing = THREADS;

static void *push(void *own)
{
    for (int i = 0; i < EACH; i++)
        ramet_push(&stack, &((struct item *)own)[i].link);
    pushing--;
    return NULL;
}

static int take(void)
{
    int count = 0;
    struct ramet_link *next;
    for (struct ramet_link *link = ramet_take_all(&stack); link != NULL; link = next, count++) {
        next = link->next;
        CHECK(((struct item *)link)->taken++ == 0);
    }
    return count;
}

int main(void)
{
    pthread_t threads[THREADS];
    int count = 0;
    ramet_push(&stack, &items[0][0].link);
    ramet_push(&stack, &items[0][1].link);
    CHECK(stack == &items[0][1].link && stack->next == &items[0][0].link && stack->next->next == NULL);
    CHECK(ramet_take_all(&stack) == &items[0][1].link && stack == NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, push, items[i]) == 0);
    while (pushing > 0)
        count += take();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(count + take() == THREADS * EACH);
    return passed();
}
