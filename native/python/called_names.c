/* The table of what the core calls of ramet's Python code by name, and how a row is found. */
#include "called_names.h"

#include "own_interpreter.h"

static const struct {
    enum core_need need;
    const char *module, *path; /* the path: a name, or that of a class and of its method */
} rows[CORE_NAMES] = {
    [CORE_LOSSES] = {CORE_FOR_SHARED_MEMORY, "ramet._function.recovery", "Losses"},
    [CORE_TAKE_STOCK] = {CORE_FOR_SHARED_MEMORY, "ramet._function.recovery", "take_stock"},
    [CORE_AFTER_INTERRUPT] = {CORE_FOR_SHARED_MEMORY, "ramet._function.recovery", "give_back_after_interrupt"},
    [CORE_ACTIVE_THREADS] = {CORE_FOR_SHARED_MEMORY, "ramet._function.left_threads", "_active"},
    [CORE_TASK_THREAD] = {CORE_FOR_SHARED_MEMORY, "ramet._function.left_threads", "TaskThread"},
    [CORE_JOIN_THREADS] = {CORE_FOR_SHARED_MEMORY, "ramet._function.left_threads", "join"},
    [CORE_RECOVER_THREADS] = {CORE_FOR_SHARED_MEMORY, "ramet._function.left_threads", "recover"},
    [CORE_ARE_NATIVE] = {CORE_FOR_SHARED_MEMORY, "ramet._function.left_threads", "are_native"},
    [CORE_TELL_LOST] = {CORE_FOR_SHARED_MEMORY, "ramet._function.left_threads", "tell_lost"},
    [CORE_CLOSE_LEFT] = {CORE_FOR_SHARED_MEMORY, "ramet._function.left_open", "close"},
    [CORE_ABANDON_LEFT] = {CORE_FOR_SHARED_MEMORY, "ramet._function.left_open", "abandon"},
    [CORE_ADD_SHARER] = {CORE_FOR_SHARED_MEMORY, "ramet._process.memory_sharers", "add_sharer"},
    [CORE_PREPARE_CHANNEL] = {CORE_FOR_COPIES, "ramet._process.result_channel", "prepare"},
    [CORE_PUT_ERROR] = {CORE_FOR_COPIES, "ramet._process.result_channel", "ResultChannel.put_error"},
    [CORE_PUT_OBJECT] = {CORE_FOR_COPIES, "ramet._process.result_channel", "ResultChannel.put_object"},
    [CORE_PUT_DATA_OR_OBJECT] = {CORE_FOR_COPIES, "ramet._process.result_channel", "ResultChannel.put_data_or_object"},
    [CORE_PUT_DATA] = {CORE_FOR_COPIES, "ramet._process.result_channel", "ResultChannel.put_data"},
    [CORE_COMPARE_RIGHTS] = {CORE_FOR_COPIES, "ramet._process.result_channel", "ResultChannel.compare_rights"},
    [CORE_STREAM_FAILED] = {CORE_FOR_STREAMS, "ramet._process.standard_streams", "stream_failed"},
    [CORE_FORGET_CHILD] = {CORE_FOR_CHILDREN, "ramet._process.child", "Child._forget"},
    [CORE_LEAVE_NAMESPACE] = {CORE_FOR_CHILDREN, "ramet._process.child", "Child._leave_namespace"},
    [CORE_HAS_NO] = {CORE_FOR_CHILDREN, "ramet._process.child", "Child._has_no"},
};

static PyObject *follow(PyObject *module, const char *path)
{
    const char *dot = strchr(path, '.');
    PyObject *name = PyUnicode_FromStringAndSize(path, dot == NULL ? (Py_ssize_t)strlen(path) : dot - path);
    PyObject *attribute = name == NULL ? NULL : PyObject_GetAttr(module, name);
    Py_XDECREF(name);
    if (dot == NULL || attribute == NULL)
        return attribute;
    PyObject *last = PyObject_GetAttrString(attribute, dot + 1);
    Py_DECREF(attribute);
    return last;
}

static bool find(struct core_interpreter *own, enum core_name name)
{
    PyObject *module = PyImport_ImportModule(rows[name].module);
    PyObject *attribute = module == NULL ? NULL : follow(module, rows[name].path);
    Py_XDECREF(module);
    if (module != NULL && attribute == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Format(PyExc_ImportError,
                     "ramet's extension calls %s.%s, which does not exist: its Python files and its extension are of different "
                     "versions; install ramet anew",
                     rows[name].module, rows[name].path);
    own->found[name] = attribute;
    return attribute != NULL;
}

static bool is_ending(void)
{
    const PyObject *finders = PySys_GetObject("meta_path");
    return finders == NULL || finders == Py_None || core_is_finalizing();
}

/* All else is the caller's: a handler of a signal may have raised it. */
bool core_does_without(void)
{
    if (!PyErr_ExceptionMatches(PyExc_ImportError) || !is_ending())
        return false;
    PyErr_Clear();
    return true;
}

bool core_look_up(enum core_need need)
{
    struct core_interpreter *own = core_own_interpreter();
    if (own == NULL)
        return false;
    for (enum core_name name = 0; !own->looked_up[need] && name < CORE_NAMES; name++)
        if (rows[name].need == need && own->found[name] == NULL && !find(own, name))
            return core_does_without();
    own->looked_up[need] = true;
    return true;
}

PyObject *core_named(enum core_name name)
{
    const struct core_interpreter *own = core_own_interpreter();
    return own == NULL ? NULL : own->found[name];
}

const char *core_method(enum core_name name)
{
    return strrchr(rows[name].path, '.') + 1;
}
