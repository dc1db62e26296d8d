/*
 * ramet._core.process_place, is_as_before: where this process is, what its standard output is, and what dicts and lists
 * hold, to be compared with what was.
 */
#define _GNU_SOURCE
#include "core.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define STANDARD_OUTPUTS 2 /* 1 and 2 */

struct place {
    uint64_t files[STANDARD_OUTPUTS][2]; /* device and inode; 0: none */
    char directory[PATH_MAX];            /* empty: it has been removed */
};

/* Returns how many of its bytes tell it. */
static size_t find(struct place *place)
{
    for (int i = 0; i < STANDARD_OUTPUTS; i++) {
        struct stat file;
        bool open = fstat(i + 1, &file) == 0;
        place->files[i][0] = open ? file.st_dev : 0;
        place->files[i][1] = open ? file.st_ino : 0;
    }
    if (getcwd(place->directory, sizeof place->directory) == NULL)
        place->directory[0] = 0;
    return offsetof(struct place, directory) + strlen(place->directory);
}

PyObject *core_process_place(PyObject *module, PyObject *unused)
{
    struct place place;
    (void)module, (void)unused;
    const size_t length = find(&place);
    return PyBytes_FromStringAndSize((const char *)&place, (Py_ssize_t)length);
}

static bool is_place(PyObject *before)
{
    struct place place;
    const size_t length = find(&place);
    return (size_t)PyBytes_GET_SIZE(before) == length && memcmp(PyBytes_AS_STRING(before), &place, length) == 0;
}

static bool has_same_items(PyObject *one, PyObject *other)
{
    PyObject *key, *value, *others_key, *others_value;
    Py_ssize_t place = 0, others_place = 0;
    if (PyDict_GET_SIZE(one) != PyDict_GET_SIZE(other))
        return false;
    while (PyDict_Next(one, &place, &key, &value))
        if (!PyDict_Next(other, &others_place, &others_key, &others_value) || key != others_key || value != others_value)
            return false;
    return true;
}

static bool has_same_members(PyObject *one, PyObject *other)
{
    if (PyList_GET_SIZE(one) != PyList_GET_SIZE(other))
        return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(one); i++)
        if (PyList_GET_ITEM(one, i) != PyList_GET_ITEM(other, i))
            return false;
    return true;
}

/* Equal objects are not looked for: each would have to be fetched from memory, at every call. */
static bool has_same(PyObject *one, PyObject *other)
{
    if (PyDict_Check(one) && PyDict_Check(other))
        return has_same_items(one, other);
    return PyList_Check(one) && PyList_Check(other) && has_same_members(one, other);
}

PyObject *core_is_as_before(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count % 2 == 0 || !PyBytes_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "is_as_before(place, *pairs)");
    bool same = is_place(args[0]);
    for (Py_ssize_t i = 1; same && i < count; i += 2)
        same = has_same(args[i], args[i + 1]);
    return PyBool_FromLong(same);
}
