/* ramet._core.end_tree_at */
#include "core.h"

#include "own_tree.h"

PyObject *core_end_tree_at(PyObject *module, PyObject *args)
{
    int signal, with_parent;
    (void)module;
    if (!PyArg_ParseTuple(args, "ip:end_tree_at", &signal, &with_parent))
        return NULL;
    const long error = ramet_end_tree_at(signal, with_parent);
    return error < 0 ? core_raise_errno(error) : Py_NewRef(Py_None);
}
