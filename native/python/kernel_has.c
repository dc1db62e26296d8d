/* ramet._core.has_...: what this kernel lets this process call. */
#include "core.h"

#include "kernel_features.h"

PyObject *core_has_clear_sighand(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(ramet_has_clear_sighand());
}

PyObject *core_has_close_range(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(ramet_has_close_range());
}

PyObject *core_has_clone3(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(ramet_has_clone3());
}
