/*
 * ramet._core.named_call: a call that needs no pickle, of a function that is found by its name, with plain arguments.
 * What pickle would do for it, at a fifth of the cost.
 */
#include "core.h"
#include "plain_values.h"

/* What pickle names as well: functions of Python, and those of C that are bound to nothing but their module. */
static bool is_function(PyObject *fn)
{
    PyObject *self = PyCFunction_CheckExact(fn) ? PyCFunction_GET_SELF(fn) : fn;
    return PyFunction_Check(fn) || self == NULL || PyModule_Check(self);
}

/* Whether the module has it under that name; not so for __main__, which is another in another process. */
static bool is_found(PyObject *fn, PyObject *module_name, PyObject *name)
{
    if (!PyUnicode_Check(module_name) || !PyUnicode_Check(name) ||
        PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0)
        return false;
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *module = PyDict_CheckExact(modules) ? PyDict_GetItemWithError(modules, module_name) : NULL;
    PyObject *found = Py_XNewRef(module) == NULL ? NULL : PyObject_GetAttr(module, name);
    Py_XDECREF(found);
    Py_XDECREF(module);
    return found == fn; /* the module has it still */
}

/* As the attribute is; of most functions it is read where it lies. */
static PyObject *module_of(PyObject *fn)
{
    return PyFunction_Check(fn) ? Py_XNewRef(((PyFunctionObject *)fn)->func_module) : PyObject_GetAttrString(fn, "__module__");
}

static PyObject *name_of(PyObject *fn)
{
    return PyFunction_Check(fn) ? Py_XNewRef(((PyFunctionObject *)fn)->func_qualname) : PyObject_GetAttrString(fn, "__qualname__");
}

static PyObject *written(PyObject *module_name, PyObject *name, PyObject *args, PyObject *keywords)
{
    char bytes[CORE_MOST_PLAIN_BYTES];
    PyObject *call = PyTuple_Pack(keywords == NULL ? 3 : 4, module_name, name, args, keywords);
    Py_ssize_t length = call == NULL ? -1 : core_plain_write(call, bytes, sizeof bytes);
    Py_XDECREF(call);
    return length < 0 ? NULL : PyBytes_FromStringAndSize(bytes, length);
}

PyObject *core_named_call(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count < 2 || count > 3 || !PyTuple_CheckExact(args[1]) || (count == 3 && !PyDict_CheckExact(args[2])))
        return PyErr_Format(PyExc_TypeError, "named_call(fn, args, keywords)");
    PyObject *keywords = count == 3 && PyDict_GET_SIZE(args[2]) > 0 ? args[2] : NULL;
    PyObject *module_name = is_function(args[0]) ? module_of(args[0]) : NULL;
    PyObject *name = module_name == NULL ? NULL : name_of(args[0]);
    PyObject *call = NULL;
    if (name != NULL && is_found(args[0], module_name, name))
        call = written(module_name, name, args[1], keywords);
    Py_XDECREF(name);
    Py_XDECREF(module_name);
    PyErr_Clear(); /* pickle says why */
    return call == NULL ? Py_NewRef(Py_None) : call;
}
