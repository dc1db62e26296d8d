/* An errno of the kernel's as an OSError. */
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
