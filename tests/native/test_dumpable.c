/*
 * The last of the launches that changed the mark restores it: it is set only if it was set before. Of one whose maker was
 * killed that is done when its child has left the memory, or was never made.
 */
#include <sys/prctl.h>

#include "check.h"
#include "dumpable.h"

enum { MANY = 400, ANOTHER = 7 };

static int mark(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void set_mark(int value) /* as the kernel does for a change of identity */
{
    prctl(PR_SET_DUMPABLE, value, 0, 0, 0);
}

static void the_last_restores_it(void)
{
    uint64_t saved[MANY];
    for (int i = 0; i < MANY; i++) {
        saved[i] = ramet_dumpable_save(NULL, NULL);
        CHECK(saved[i] != 0);
        set_mark(0);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK(mark() == 0);
        ramet_dumpable_restore(saved[i]);
        ramet_dumpable_restore(saved[0]); /* once is enough: it is no other's */
    }
    CHECK(mark() == 1);
}

static void it_is_as_before(void)
{
    set_mark(0);
    ramet_dumpable_restore(ramet_dumpable_save(NULL, NULL));
    CHECK(mark() == 0);
    uint64_t saved = ramet_dumpable_save(NULL, NULL);
    set_mark(1); /* as a child does, so that its caller keeps its files in /proc */
    ramet_dumpable_restore(saved);
    CHECK(mark() == 0);
    set_mark(1);
}

static void its_maker_was_killed(void)
{
    int made = 0, left = 1;
    ramet_dumpable_save(&made, &left);
    set_mark(0);
    ramet_dumpable_abandon(ANOTHER);
    CHECK(mark() == 0);
    ramet_dumpable_abandon(getpid());
    CHECK(mark() == 1);
    ramet_dumpable_save(NULL, NULL);
    set_mark(0);
    ramet_dumpable_abandon(getpid());
    CHECK(mark() == 1);
}

static void its_child_outlives_its_maker(void)
{
    int made = 1, left = 1;
    ramet_dumpable_save(&made, &left);
    uint64_t saved = ramet_dumpable_save(NULL, NULL);
    set_mark(0);
    ramet_dumpable_abandon(getpid());
    ramet_dumpable_restore(saved);
    ramet_dumpable_settle();
    CHECK(mark() == 0);
    left = 0;
    ramet_dumpable_settle();
    CHECK(mark() == 1);
}

int main(void)
{
    if (mark() != 1)
        SKIP("this process is not dumpable");
    ramet_dumpable_restore(0);
    the_last_restores_it();
    it_is_as_before();
    its_maker_was_killed();
    its_child_outlives_its_maker();
    return passed();
}
