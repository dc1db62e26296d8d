/* The number and the owner are in memory that the kernel wipes in the child of a fork. */
#define _GNU_SOURCE
#include "epoch.h"

#include <sys/mman.h>
#include <unistd.h>

static struct {
    uint64_t epoch; /* 0: wiped by a fork, or new */
    pid_t owner;
} *memory;

void *ramet_wiped_on_fork(size_t size)
{
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
    if (madvise(block, size, MADV_WIPEONFORK) == 0)
        return block;
    munmap(block, size);
    return NULL;
}

static void __attribute__((constructor)) map_memory(void)
{
    memory = ramet_wiped_on_fork(sizeof *memory);
}

uint64_t ramet_epoch(void)
{
    static uint64_t last; /* a fork copies it, and so the next number is new on either side */
    if (memory == NULL)
        return 0;
    uint64_t epoch = __atomic_load_n(&memory->epoch, __ATOMIC_ACQUIRE);
    if (epoch != 0)
        return epoch;
    uint64_t next = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    memory->owner = getpid();
    if (__atomic_compare_exchange_n(&memory->epoch, &epoch, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return next;
    return epoch;
}

bool ramet_owns_memory(void)
{
    return ramet_epoch() != 0 && memory->owner == getpid();
}
