/* A child whose pid is in a place is killed when its owner ends; the watchdog ends when no place is taken. */
#include "kernel_features.h"
#include "owner.h"
#include "watched_children.h"

static void own_two_children(void)
{
    long error;
    int *first = ramet_watched_place(&error), *second = ramet_watched_place(&error);
    CHECK(first != NULL && second != NULL && first != second);
    *first = (int)start_sharer(wait_for_ever, NULL, 0);
    ramet_watched_leave(second); /* it was not made */
}

static void a_watchdog_without_children_ends(void)
{
    long error;
    int *place = ramet_watched_place(&error);
    CHECK(place != NULL && *place == -1);
    ramet_watched_drain();
    CHECK(waitpid(-1, NULL, __WALL | WNOHANG) == 0); /* it stays while a place is taken */
    ramet_watched_leave(place);
    ramet_watched_drain();
}

int main(void)
{
    if (!ramet_has_clone3())
        SKIP("there is no clone3, and so no watchdog");
    expect_killed_with_owner(own_two_children, 1);
    a_watchdog_without_children_ends();
    return passed();
}
