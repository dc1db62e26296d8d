/* A child of the tracer's thread whose end wakes it from its wait for tracees: no signal is needed, and no handler. */
#pragma once

#include <stdint.h>

#define RAMET_BELL_STACK 4096

struct ramet_bell {
    int pid;   /* 0: there is none, or it has been reaped */
    int rung;  /* a futex word */
    int maker; /* the process that made it */
    int stage; /* a futex word: whether it waits; the kernel clears it at its end */
    char stack[RAMET_BELL_STACK] __attribute__((aligned(16)));
};

/* 0 or -errno. One that was rung before ends at once. Its end is told to the calling thread alone, to wait4(2) with __WALL, and sends no signal. */
long ramet_bell_hang(struct ramet_bell *bell);

/* By any thread, any number of times. */
void ramet_bell_ring(struct ramet_bell *bell);
