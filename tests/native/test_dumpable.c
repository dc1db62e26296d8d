/* The last of the launches that changed the mark restores it: it is set only if it was set before. */
#include <sys/prctl.h>

#include "check.h"
#include "dumpable.h"

static int mark(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

int main(void)
{
    if (mark() != 1)
        SKIP("this process is not dumpable");
    CHECK(ramet_dumpable_save());
    CHECK(ramet_dumpable_save());
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* as the kernel does for a change of identity */
    ramet_dumpable_restore();
    CHECK(mark() == 0);
    ramet_dumpable_restore();
    CHECK(mark() == 1);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    CHECK(ramet_dumpable_save());
    ramet_dumpable_restore();
    CHECK(mark() == 0);
    CHECK(ramet_dumpable_save());
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as a child does, so that its caller keeps its files in /proc */
    ramet_dumpable_restore();
    CHECK(mark() == 0);
    return passed();
}
