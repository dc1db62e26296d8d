/* A listing has each number of a directory once, and nothing else; more than one read of the kernel's if need be. */
#include <fcntl.h>
#include <string.h>

#include "check.h"
#include "listing.h"

enum { FIRST = 20, COUNT = 200 };

/* How many of our descriptors are in it. */
static int count(struct ramet_listing *listing)
{
    bool seen[COUNT] = {false};
    int found = 0;
    for (long number; (number = ramet_listing_next(listing)) >= 0;)
        if (number >= FIRST && number < FIRST + COUNT) {
            CHECK(!seen[number - FIRST]);
            seen[number - FIRST] = true;
            found++;
        }
    return found;
}

int main(void)
{
    static struct ramet_listing listing;
    bool is_there = false;
    for (int i = 0; i < COUNT; i++)
        CHECK(dup2(2, FIRST + i) == FIRST + i);
    ramet_listing_open(&listing, "/proc/self/fd");
    CHECK(count(&listing) == COUNT);
    close(FIRST);
    ramet_listing_rewind(&listing);
    CHECK(count(&listing) == COUNT - 1);
    CHECK(ramet_listing_close(&listing));
    ramet_listing_open(&listing, "/proc"); /* which has names, too */
    for (long number; (number = ramet_listing_next(&listing)) >= 0;) {
        CHECK(number > 0);
        is_there = is_there || number == getpid();
    }
    CHECK(is_there && ramet_listing_close(&listing));
    ramet_listing_open(&listing, "/nonexistent");
    CHECK(listing.descriptor == -ENOENT && ramet_listing_next(&listing) == -1 && !ramet_listing_close(&listing));
    return passed();
}
