/* Which objects are plain: a list of exact types, for a subclass may have a finalizer. */
#include "plain.h"

#include "dead_frames.h"

bool core_is_immortal(PyObject *object)
{
#if PY_VERSION_HEX >= 0x030c0000
    return _Py_IsImmortal(object);
#else
    (void)object;
    return false;
#endif
}

static bool is_among(PyTypeObject *type, PyTypeObject *const *types, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (types[i] == type)
            return true;
    return false;
}

/* Heap types keep the place in other ways; none of those below is one. */
static bool has_weak_references(PyObject *object)
{
    Py_ssize_t offset = Py_TYPE(object)->tp_weaklistoffset;
    return offset > 0 && *(PyObject **)((char *)object + offset) != NULL;
}

/* Native code has the address of its bytes. */
static bool is_exported(PyObject *object)
{
    return Py_IS_TYPE(object, &PyByteArray_Type) && ((PyByteArrayObject *)object)->ob_exports > 0;
}

/* Ranges and their iterators hold integers only. */
bool core_is_plain_leaf(PyObject *object)
{
    static PyTypeObject *const types[] = {
        &PyUnicode_Type, &PyLong_Type,  &PyBytes_Type,     &PyFloat_Type,         &PyBool_Type,        &PyByteArray_Type,
        &PyRange_Type,   &PyCode_Type,  &PyRangeIter_Type, &PyLongRangeIter_Type, &PyComplex_Type,
    };
    return (is_among(Py_TYPE(object), types, Py_ARRAY_LENGTH(types)) && !is_exported(object) &&
            !has_weak_references(object)) ||
           object == Py_None || object == Py_Ellipsis || object == Py_NotImplemented;
}

/* Those that are static types are the interpreter's; what a module defines is on the heap. */
static bool is_builtin_exception(PyObject *object)
{
    return PyExceptionInstance_Check(object) && !PyType_HasFeature(Py_TYPE(object), Py_TPFLAGS_HEAPTYPE);
}

bool core_is_plain_container(PyObject *object)
{
    static PyTypeObject *const types[] = {
        &PyTuple_Type,         &PyList_Type,          &PyDict_Type,        &PySet_Type,          &PyFrozenSet_Type,
        &PyCell_Type,          &PyFunction_Type,      &PyMethod_Type,      &PyCFunction_Type,    &PySlice_Type,
        &PyListIter_Type,      &PyTupleIter_Type,     &PyDictIterKey_Type, &PyDictIterValue_Type, &PyDictIterItem_Type,
        &PySetIter_Type,       &PyUnicodeIter_Type,   &PyBytesIter_Type,   &PySeqIter_Type,      &PyEnum_Type,
        &PyZip_Type,           &PyMap_Type,           &PyFilter_Type,      &PyReversed_Type,     &PyDictKeys_Type,
        &PyDictValues_Type,    &PyDictItems_Type,     &PyTraceBack_Type,   &PyContext_Type,      &PyByteArrayIter_Type,
        &PyListRevIter_Type,   &PyDictRevIterKey_Type, &PyDictRevIterValue_Type, &PyDictRevIterItem_Type,
        &PyProperty_Type,      &PyStaticMethod_Type,  &PyClassMethod_Type,
    };
    return (is_among(Py_TYPE(object), types, Py_ARRAY_LENGTH(types)) || is_builtin_exception(object) || core_is_whole_frame(object)) &&
           !has_weak_references(object);
}
