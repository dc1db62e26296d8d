/* kcmp(2), which no libc wraps. */
#include "core.h"

PyObject *core_kcmp(PyObject *module, PyObject *args)
{
    int pid1, pid2, type;
    unsigned long long index1, index2;
    (void)module;
    if (!PyArg_ParseTuple(args, "iiiKK:kcmp", &pid1, &pid2, &type, &index1, &index2))
        return NULL;
    long answer = ramet_syscall5(__NR_kcmp, pid1, pid2, type, index1, index2);
    return answer < 0 ? core_raise_errno(answer) : PyLong_FromLong(answer);
}
