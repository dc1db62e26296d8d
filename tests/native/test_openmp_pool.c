/* libgomp's threads are ended before a fork, after which it would wait for them; not where others' fork has lost them. */
#include "check.h"
#include "openmp_pool.h"
#include "proc_file.h"
#include "task_state.h"

#include <dlfcn.h>
#include <string.h>

#define SECONDS_OF_A_HANG 30

static void (*parallel)(void (*fn)(void *), void *data, unsigned threads, unsigned flags);

static void nothing(void *data)
{
    (void)data;
}

static void compute(void)
{
    parallel(nothing, NULL, 2, 0);
}

static long threads(void)
{
    return ramet_task_threads(ramet_proc_number_of_process(getpid(), -1));
}

static struct ramet_openmp ended(void)
{
    struct ramet_openmp openmp = ramet_find_openmp();
    ramet_end_openmp_pools(&openmp);
    return openmp;
}

/* In a copy: it ends by a signal where it waits for ever. */
static int computes(void)
{
    alarm(SECONDS_OF_A_HANG);
    compute();
    return threads() == 2 ? FOUND : FAILED;
}

static void test_a_copy_computes(void)
{
    compute();
    CHECK(threads() == 2);
    struct ramet_openmp openmp = ended();
    CHECK(openmp.count == 1 && !openmp.is_lost && threads() == 1);
    pid_t pid = fork();
    if (pid == 0) {
        ramet_note_openmp_pools(&openmp);
        _exit(computes());
    }
    CHECK(code_of(pid) == FOUND);
    compute();
    CHECK(threads() == 2);
}

static void test_a_copy_of_a_copy_computes(void)
{
    compute();
    struct ramet_openmp openmp = ended();
    pid_t pid = fork();
    if (pid == 0) {
        ramet_note_openmp_pools(&openmp);
        int code = computes();
        openmp = ended();
        pid_t inner = fork();
        if (inner == 0) {
            ramet_note_openmp_pools(&openmp);
            _exit(computes());
        }
        _exit(code_of(inner) == FOUND ? code : FAILED);
    }
    CHECK(code_of(pid) == FOUND);
}

/* A fork of which nobody has told: the threads are waited for in vain, also by who ends them. */
static void test_what_is_lost_is_let_alone(void)
{
    compute();
    pid_t pid = fork();
    if (pid == 0) {
        alarm(SECONDS_OF_A_HANG);
        _exit(ended().is_lost ? FOUND : FAILED);
    }
    CHECK(code_of(pid) == FOUND);
}

static void in_a_region(void *data)
{
    *(struct ramet_openmp *)data = ended();
}

static void test_nothing_is_done_in_a_parallel_region(void)
{
    struct ramet_openmp openmp;
    parallel(in_a_region, &openmp, 1, 0);
    CHECK(openmp.is_lost);
    compute();
    CHECK(threads() == 2);
    CHECK(!ended().is_lost);
}

int main(void)
{
    CHECK(ramet_find_openmp().count == 0);
    void *library = dlopen("libgomp.so.1", RTLD_NOW);
    void *symbol = library == NULL ? NULL : dlsym(library, "GOMP_parallel");
    if (symbol == NULL || dlsym(library, "omp_pause_resource_all") == NULL)
        SKIP("there is no libgomp, or an old one");
    memcpy(&parallel, &symbol, sizeof symbol);
    CHECK(ramet_has_executed());
    test_a_copy_computes();
    test_a_copy_of_a_copy_computes();
    test_what_is_lost_is_let_alone();
    test_nothing_is_done_in_a_parallel_region();
    return passed();
}
