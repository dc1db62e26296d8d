/* Whether paths still lead to the files that they led to: for many of them at once, before each launch in a sandbox. */
#include "core.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Both 0 for a path that leads nowhere. */
struct identity {
    uint64_t device, inode;
};

static bool leads_to(const char *path, const struct identity *identity)
{
    struct stat found;
    if (stat(path, &found) != 0)
        found = (struct stat){0};
    return found.st_dev == identity->device && found.st_ino == identity->inode;
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

/*
 * A file's number is given to another file once it is gone, by ext4 often to the next one. When it was made,
 * and its handle, which has a generation there, tell the two apart. What a kernel or a file system does not tell stays 0.
 */
struct whole_identity {
    uint64_t device, inode, made, handle;
};

static uint64_t when_made(const char *path)
{
    struct statx found = {0};
    if (statx(AT_FDCWD, path, 0, STATX_BTIME, &found) != 0 || !(found.stx_mask & STATX_BTIME))
        return 0;
    return (uint64_t)found.stx_btime.tv_sec * 1000000000 + found.stx_btime.tv_nsec;
}

/* FNV-1a of the handle. */
static uint64_t handle_of(const char *path)
{
    union {
        struct file_handle handle;
        unsigned char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } found = {.handle.handle_bytes = MAX_HANDLE_SZ};
    int mount;
    if (name_to_handle_at(AT_FDCWD, path, &found.handle, &mount, AT_SYMLINK_FOLLOW) != 0)
        return 0;
    uint64_t sum = 14695981039346656037U;
    for (unsigned i = 0; i < found.handle.handle_bytes && i < MAX_HANDLE_SZ; i++)
        sum = (sum ^ found.handle.f_handle[i]) * 1099511628211U;
    return sum;
}

static void identify(const char *path, struct whole_identity *identities, Py_ssize_t count)
{
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++, path += strlen(path) + 1) {
        struct stat found;
        identities[i] = (struct whole_identity){0};
        if (stat(path, &found) == 0)
            identities[i] =
                (struct whole_identity){found.st_dev, found.st_ino, when_made(path), handle_of(path)};
    }
    Py_END_ALLOW_THREADS
}

PyObject *core_file_identities(PyObject *module, PyObject *given)
{
    Py_buffer paths;
    (void)module;
    if (PyObject_GetBuffer(given, &paths, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *answer = NULL;
    Py_ssize_t count = zeros(&paths);
    if (paths.len && ((const char *)paths.buf)[paths.len - 1])
        PyErr_SetString(PyExc_ValueError, "invalid paths: expected a 0 after each");
    else
        answer = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(struct whole_identity));
    if (answer != NULL)
        identify(paths.buf, (struct whole_identity *)PyBytes_AS_STRING(answer), count);
    PyBuffer_Release(&paths);
    return answer;
}
