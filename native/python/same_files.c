/* Whether paths still lead to the files that they led to: for many of them at once, before each launch in a sandbox. */
#include "core.h"

#include <sys/stat.h>

struct identity {
    uint64_t device, inode;
};

static bool leads_to(const char *path, const struct identity *identity)
{
    struct stat found;
    return stat(path, &found) == 0 && found.st_dev == identity->device && found.st_ino == identity->inode;
}

/* paths: each with a 0 at its end; identities: as many, with the length of both checked by the caller. */
static bool all_lead_to(const char *path, const struct identity *identity, Py_ssize_t count)
{
    bool same = true;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; same && i < count; i++, path += strlen(path) + 1)
        same = leads_to(path, &identity[i]);
    Py_END_ALLOW_THREADS
    return same;
}

static Py_ssize_t zeros(const Py_buffer *paths)
{
    const char *bytes = paths->buf;
    Py_ssize_t found = 0;
    for (Py_ssize_t i = 0; i < paths->len; i++)
        found += bytes[i] == 0;
    return found;
}

PyObject *core_same_files(PyObject *module, PyObject *args)
{
    Py_buffer paths, identities;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*:same_files", &paths, &identities))
        return NULL;
    PyObject *answer = NULL;
    Py_ssize_t count = identities.len / (Py_ssize_t)sizeof(struct identity);
    if (zeros(&paths) != count || identities.len % (Py_ssize_t)sizeof(struct identity) != 0)
        PyErr_SetString(PyExc_ValueError, "invalid identities: expected two words for each path");
    else
        answer = PyBool_FromLong(all_lead_to(paths.buf, identities.buf, count));
    PyBuffer_Release(&paths);
    PyBuffer_Release(&identities);
    return answer;
}
