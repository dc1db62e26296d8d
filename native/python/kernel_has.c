/* ramet._core.has_...: what this kernel lets this process call. */
#include "core.h"

#include "kernel_features.h"

#define HAS(feature) \
    PyObject *core_has_##feature(PyObject *module, PyObject *unused) \
    { \
        (void)module, (void)unused; \
        return PyBool_FromLong(ramet_has_##feature()); \
    }

HAS(clear_sighand)
HAS(close_range)
HAS(clone3)
