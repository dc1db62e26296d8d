/* A Python function as the body of a task: its result is an exit code. */
#include "core.h"

PyObject *core_take_exception(void)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return error;
}

/* sys.exit(): None is 0, an integer is itself, anything else is printed and is 1. */
static int code_of_system_exit(void)
{
    PyObject *type, *exit, *traceback;
    PyErr_Fetch(&type, &exit, &traceback);
    PyErr_NormalizeException(&type, &exit, &traceback);
    PyObject *code = exit == NULL ? NULL : PyObject_GetAttrString(exit, "code");
    int result = 1;
    if (code == NULL)
        PyErr_Clear();
    else if (code == Py_None)
        result = 0;
    else if (PyLong_Check(code))
        result = (int)(PyLong_AsUnsignedLongMask(code) & 0xff);
    else {
        PyObject *file = PySys_GetObject("stderr");
        if (file != NULL && PyFile_WriteObject(code, file, Py_PRINT_RAW) == 0)
            PyFile_WriteString("\n", file);
        PyErr_Clear();
    }
    Py_XDECREF(code);
    Py_XDECREF(type);
    Py_XDECREF(exit);
    Py_XDECREF(traceback);
    return result;
}

int core_code_of_failure(void)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit))
        return code_of_system_exit();
    PyErr_PrintEx(0);
    return 1;
}

static int code_of_value(PyObject *value)
{
    if (value == Py_None)
        return 0;
    if (PyLong_Check(value))
        return (int)(PyLong_AsUnsignedLongMask(value) & 0xff);
    PyErr_Format(PyExc_TypeError, "invalid return value of the task's function: expected its exit code, an int or None, got %.100s",
                 Py_TYPE(value)->tp_name);
    return core_code_of_failure();
}

int core_invoke(PyObject *fn, PyObject *arg)
{
    PyObject *value = PyObject_CallOneArg(fn, arg);
    int code = value == NULL ? core_code_of_failure() : code_of_value(value);
    Py_XDECREF(value);
    return code;
}
