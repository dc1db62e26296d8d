/* ramet._core.new_pid_namespace and begin_in_pid_namespace: the init of a pid namespace. */
#include "core.h"

#include "pid_namespace.h"

PyObject *core_new_pid_namespace(PyObject *module, PyObject *held)
{
    int pidfd = -1, descriptor;
    (void)module;
    if (!PyArg_Parse(held, "i:new_pid_namespace", &descriptor))
        return NULL;
    long pid = ramet_new_pid_namespace(&pidfd, descriptor);
    return pid < 0 ? core_raise_errno(pid) : Py_BuildValue("li", pid, pidfd);
}

PyObject *core_begin_in_pid_namespace(PyObject *module, PyObject *args)
{
    int init, child;
    (void)module;
    if (!PyArg_ParseTuple(args, "ii:begin_in_pid_namespace", &init, &child))
        return NULL;
    ramet_begin_in_pid_namespace(init, child);
    Py_RETURN_NONE;
}
