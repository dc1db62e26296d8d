/* The exceptions that more than one file raises. */
#include "core.h"

#include <errno.h>

PyObject *core_raise_errno(long negative_errno)
{
    errno = (int)-negative_errno;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *core_raise_no_helper(long negative_errno, const char *helper)
{
    errno = (int)-negative_errno;
    return PyErr_SetFromErrnoWithFilename(PyExc_OSError, helper);
}

PyObject *core_raise_invalid(PyObject *error, const char *what, const char *expected, PyObject *got)
{
    return PyErr_Format(error, "invalid %s: expected %s, got %.200R", what, expected, got);
}

bool core_read_int(const char *what, PyObject *object, int *value)
{
    long given = PyLong_AsLong(object);
    bool failed = given == -1 && PyErr_Occurred() != NULL, of_type = failed && PyErr_ExceptionMatches(PyExc_TypeError);
    *value = (int)given;
    if (failed ? !of_type && !PyErr_ExceptionMatches(PyExc_OverflowError) : given == *value)
        return !failed;
    core_raise_invalid(of_type ? PyExc_TypeError : PyExc_OverflowError, what, "an int of 32 bits", object);
    return false;
}
