/* What ramet._core tells of rights. */
#include "core.h"

#include "credentials.h"

PyObject *core_has_our_rights(PyObject *module, PyObject *args)
{
    int pid, pidfd, in_any_pid_namespace;
    (void)module;
    if (!PyArg_ParseTuple(args, "iip:has_our_rights", &pid, &pidfd, &in_any_pid_namespace))
        return NULL;
    return PyBool_FromLong(ramet_credentials_are_ours(pid, pidfd, in_any_pid_namespace));
}

PyObject *core_credentials_now(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyLong_FromUnsignedLongLong(ramet_credentials_now());
}
