/* On x86_64 Linux shows of a stopped task, too, in which system call it is. */
#pragma once

#define RAMET_STOP_HIDES_CALL 0
