/* A bomb of memory is through when it has four times what it may, and keeps it for a while. */
#ifndef BOMBS_H
#define BOMBS_H

#include "attempt.h"

long goal(void);
int kept(void);

#endif
