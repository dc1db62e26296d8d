/* Which parts of the recovery work. */
#include "libc_inside.h"

static const char not_yet[] = "no function in shared memory was started";
static const char *why_off[RAMET_LIBC_PARTS] = {not_yet, not_yet, not_yet, not_yet};

void ramet_set_part(enum ramet_libc_part part, const char *why)
{
    why_off[part] = why;
}

const char *ramet_why_off(enum ramet_libc_part part)
{
    return why_off[part];
}

bool ramet_is_on(enum ramet_libc_part part)
{
    return why_off[part] == NULL;
}
