/* The module ramet._core: nothing here is public. */
#include "plan_object.h"

#include <errno.h>

PyObject *core_raise_errno(long negative_errno)
{
    errno = (int)-negative_errno;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyMethodDef methods[] = {
    {"clone", core_clone, METH_VARARGS,
     "clone(args, size, by_fork, legacy, stopped, fn, arg, kept, stack, words, carrier_stack_size, /)\n--\n\n"
     "Makes a task. Returns (pid, SharedTask or None), and (0, None) in a child that returns twice."},
    {"has_clear_sighand", core_has_clear_sighand, METH_NOARGS,
     "has_clear_sighand()\n--\n\nWhether clone3 knows CLEAR_SIGHAND."},
    {"has_clone3", core_has_clone3, METH_NOARGS, "has_clone3()\n--\n\nWhether the kernel lets this process call clone3."},
    {"kill_sharer", core_kill_sharer, METH_VARARGS,
     "kill_sharer(pid, pidfd, /)\n--\n\nSIGKILL for a child in shared memory, where it stands well; pidfd may be -1."},
    {"spawn", core_spawn, METH_VARARGS,
     "spawn(args, legacy, stopped, plan, /)\n--\n\n"
     "Makes a task that carries out a plan. Returns (pid, failed step or -1, its errno)."},
    {"waitid", core_waitid, METH_VARARGS,
     "waitid(idtype, number, options, /)\n--\n\nReturns (pid, code, status, rusage) or None."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ramet._core",
    .m_size = -1, /* carriers and leases belong to the process, so the module is the main interpreter's */
    .m_methods = methods,
};

static int add_types(PyObject *module)
{
    if (PyType_Ready(&SharedTask_Type) < 0)
        return -1;
    if (PyModule_AddType(module, &Stack_Type) < 0 || PyModule_AddType(module, &TidWord_Type) < 0)
        return -1;
    if (PyModule_AddType(module, &Plan_Type) < 0)
        return -1;
    return PyModule_AddType(module, &SharedTask_Type);
}

PyMODINIT_FUNC PyInit__core(void); /* the only name that the library exports */

PyMODINIT_FUNC PyInit__core(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && add_types(module) < 0)
        Py_CLEAR(module);
    return module;
}

