/* CPython's internal headers, of the version that this is compiled for: they are not made for such warnings. */
#pragma once

#include "core.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wpointer-arith"
#undef _PyGC_FINALIZED /* until 3.12 there are two */
#define object core_asdl_object /* a type in 3.13, a name for parameters everywhere else */
#define Py_BUILD_CORE 1
#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_interpframe_structs.h"
#endif
#include "internal/pycore_frame.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"
#undef Py_BUILD_CORE
#undef object
#pragma GCC diagnostic pop
