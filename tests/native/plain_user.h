/* Root is bound by no RLIMIT_NPROC: a test of that becomes a user who has no other process. */
#pragma once

#include "check.h"

#define PLAIN_USER 61234

static inline void become_plain_user(void)
{
    if (geteuid() == 0 && (setresgid(PLAIN_USER, PLAIN_USER, PLAIN_USER) < 0 || setresuid(PLAIN_USER, PLAIN_USER, PLAIN_USER) < 0))
        SKIP("root that cannot become another user");
}
