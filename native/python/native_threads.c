/* Threads of native libraries that a function in shared memory has started, and that end with it. */
#define _GNU_SOURCE
#include "clone_ways.h"

#include <link.h>

#include "epoch.h"
#include "fork_handlers.h"
#include "libc_fork.h"
#include "proc_file.h"
#include "task_state.h"

#define PATIENCE_NANOSECONDS INT64_C(1000000000)

bool core_has_native_threads(long pid)
{
    return ramet_task_threads(ramet_proc_number_of_process(pid, -1)) > 1 && core_ask_left_threads(CORE_ARE_NATIVE, pid);
}

/* Where the code of an object file lies: of the one that has this address. */
struct range {
    uintptr_t address, begin, end;
};

static struct range of_ramet, of_python;

static int find_range(struct dl_phdr_info *object, size_t size, void *context)
{
    struct range *range = context, whole = {.begin = UINTPTR_MAX};
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        uintptr_t begin = object->dlpi_addr + header->p_vaddr, end = begin + header->p_memsz;
        if (header->p_type != PT_LOAD)
            continue;
        whole.begin = begin < whole.begin ? begin : whole.begin;
        whole.end = end > whole.end ? end : whole.end;
    }
    if (range->address < whole.begin || range->address >= whole.end)
        return 0;
    range->begin = whole.begin;
    range->end = whole.end;
    return 1;
}

/* Now: a child that is killed while it loads a library holds the lock that dlsym() takes. */
static void __attribute__((constructor)) find_own_code(void)
{
    of_ramet.address = (uintptr_t)&core_is_alone;
    of_python.address = (uintptr_t)&PyEval_RestoreThread;
    dl_iterate_phdr(find_range, &of_ramet);
    dl_iterate_phdr(find_range, &of_python);
}

static bool is_in(const struct range *range, uintptr_t address)
{
    return address >= range->begin && address < range->end;
}

/* By the function that it was made for. */
static bool is_of_library(uintptr_t function)
{
    return !is_in(&of_ramet, function) && !is_in(&of_python, function);
}

static struct {
    long lost;
    uint64_t epoch;
} known;

static bool take_down_pools(void)
{
    bool done;
    Py_BEGIN_ALLOW_THREADS
    ramet_forget_lost_threads();
    done = ramet_run_fork_handlers_within(PATIENCE_NANOSECONDS);
    Py_END_ALLOW_THREADS
    return done;
}

/* Of earlier children: their libraries have no handlers for them. */
static long lost_before(void)
{
    if (known.epoch != ramet_epoch()) /* libc makes an end of them in the child of a fork */
        known.lost = 0;
    return known.lost;
}

static void note(long lost)
{
    known.lost = lost;
    known.epoch = ramet_epoch();
}

void core_note_native_threads(void)
{
    note(ramet_count_lost_threads(is_of_library));
}

void core_recover_native_threads(bool had_threads)
{
    long lost = ramet_count_lost_threads(is_of_library), before = lost_before();
    if (had_threads || lost > before) {
        bool done = take_down_pools();
        lost = ramet_count_lost_threads(is_of_library);
        if (!done || lost > before)
            core_ask_left_threads(CORE_TELL_LOST, 0);
    }
    note(lost);
}

/* -1 with an exception set. */
static int sleep_all(PyObject *tids)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tids); i++) {
        long tid = PyLong_AsLong(PyList_GET_ITEM(tids, i));
        if (tid == -1 && PyErr_Occurred())
            return -1;
        char state = ramet_task_state(tid);
        if (state != 'S' && state != '\0')
            return 0;
    }
    return 1;
}

/* With the GIL from the look to the end: no thread begins to compute in between and then waits for these threads. */
PyObject *core_run_fork_handlers(PyObject *module, PyObject *tids)
{
    (void)module;
    if (!PyList_Check(tids))
        return PyErr_Format(PyExc_TypeError, "run_fork_handlers(tids)");
    int all = sleep_all(tids);
    if (all > 0)
        ramet_run_fork_handlers();
    return all < 0 ? NULL : PyBool_FromLong(all);
}

/* What a thread does at its end may need the GIL. */
struct ramet_openmp core_end_openmp(void)
{
    struct ramet_openmp openmp = ramet_find_openmp();
    if (openmp.count > 0) {
        Py_BEGIN_ALLOW_THREADS
        ramet_end_openmp_pools(&openmp);
        Py_END_ALLOW_THREADS
    }
    return openmp;
}

PyObject *core_end_openmp_pools(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    core_end_openmp();
    Py_RETURN_NONE;
}
