/* By omp_pause_resource_all(), which libgomp has since GCC 9. */
#define _GNU_SOURCE
#include "openmp_pool.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "epoch.h"
#include "task_state.h"

#define LIBRARY "libgomp"
#define HARD 2 /* omp_pause_hard: nothing is kept */
#define PATH_BYTES 4096

static struct {
    unsigned long long loaded, unloaded; /* objects, when it was looked for the last time */
    int count;
    ramet_openmp_pause *pause[RAMET_MOST_OPENMP];
} found;

static struct {
    int count;
    char path[RAMET_MOST_OPENMP][PATH_BYTES];
} named;

static bool is_libgomp(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash == NULL ? path : slash + 1, LIBRARY, strlen(LIBRARY)) == 0;
}

/* Stops at the first where none was loaded since. */
static int note_name(struct dl_phdr_info *object, size_t size, void *first)
{
    (void)size;
    if (*(bool *)first && object->dlpi_adds == found.loaded && object->dlpi_subs == found.unloaded)
        return 1;
    *(bool *)first = false;
    found.loaded = object->dlpi_adds;
    found.unloaded = object->dlpi_subs;
    if (named.count < RAMET_MOST_OPENMP && is_libgomp(object->dlpi_name) && strlen(object->dlpi_name) < PATH_BYTES)
        strcpy(named.path[named.count++], object->dlpi_name);
    return 0;
}

static void find(const char *path)
{
    void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    void *symbol = library == NULL ? NULL : dlsym(library, "omp_pause_resource_all");
    if (symbol != NULL)
        memcpy(&found.pause[found.count++], &symbol, sizeof symbol);
    if (library != NULL)
        dlclose(library); /* who has loaded it keeps it */
}

static void look(void)
{
    bool is_first = true;
    named.count = 0;
    if (dl_iterate_phdr(note_name, &is_first) != 0)
        return;
    found.count = 0;
    for (int i = 0; i < named.count; i++)
        find(named.path[i]);
}

static struct {
    uint64_t epoch; /* of a process; a fork begins another */
    bool may_be_lost;
} judged;

/* In a process that was forked by others the thread that did so, its first, may have had threads that are lost. */
static bool may_be_lost(void)
{
    if (gettid() != getpid())
        return false;
    uint64_t epoch = ramet_epoch();
    if (epoch == judged.epoch && epoch != 0)
        return judged.may_be_lost;
    if (!ramet_owns_memory()) /* what is written here is read by who owns it */
        return true;
    judged.may_be_lost = found.count > 0 && !ramet_has_executed();
    judged.epoch = epoch;
    return judged.may_be_lost;
}

struct ramet_openmp ramet_find_openmp(void)
{
    struct ramet_openmp here = {0};
    look();
    here.is_lost = may_be_lost();
    here.count = here.is_lost ? 0 : found.count;
    memcpy(here.pause, found.pause, sizeof here.pause);
    return here;
}

void ramet_end_openmp_pools(struct ramet_openmp *here)
{
    for (int i = 0; i < here->count; i++)
        here->is_lost |= here->pause[i](HARD) != 0;
}

void ramet_note_openmp_pools(const struct ramet_openmp *before)
{
    judged.may_be_lost = before->is_lost;
    judged.epoch = ramet_epoch();
}
