/* Which objects are plain: those of listed types, for another may have a finalizer; and what is written in Python without one. */
#include "plain.h"

#include "dead_frames.h"

static destructor dealloc_of_class;
static traverseproc traverse_of_class;

void core_plain_ready(PyTypeObject *class)
{
    dealloc_of_class = class->tp_dealloc;
    traverse_of_class = class->tp_traverse;
}

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

/* What a class keeps before its instances has a negative offset. */
static bool has_weak_references(PyObject *object)
{
    Py_ssize_t offset = Py_TYPE(object)->tp_weaklistoffset;
    return offset != 0 && *(PyObject **)((char *)object + offset) != NULL;
}

/* Native code has the address of its bytes. */
static bool is_exported(PyObject *object)
{
    return PyByteArray_Check(object) && ((PyByteArrayObject *)object)->ob_exports > 0;
}

/* Ranges and their iterators hold integers only. */
static bool is_leaf_type(PyTypeObject *type)
{
    static PyTypeObject *const types[] = {
        &PyUnicode_Type, &PyLong_Type,  &PyBytes_Type,     &PyFloat_Type,         &PyBool_Type,        &PyByteArray_Type,
        &PyRange_Type,   &PyCode_Type,  &PyRangeIter_Type, &PyLongRangeIter_Type, &PyComplex_Type,
    };
    return is_among(type, types, Py_ARRAY_LENGTH(types));
}

bool core_is_plain_leaf(PyObject *object)
{
    return (is_leaf_type(Py_TYPE(object)) && !is_exported(object) && !has_weak_references(object)) ||
           object == Py_None || object == Py_Ellipsis || object == Py_NotImplemented;
}

/* The static types are the interpreter's, but for those of old modules, which name the module. */
static bool is_builtin_exception(PyTypeObject *type)
{
    return PyType_FastSubclass(type, Py_TPFLAGS_BASE_EXC_SUBCLASS) &&
           !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && strchr(type->tp_name, '.') == NULL;
}

static bool is_container_type(PyTypeObject *type)
{
    static PyTypeObject *const types[] = {
        &PyTuple_Type,         &PyList_Type,          &PyDict_Type,             &PySet_Type,             &PyFrozenSet_Type,
        &PyCell_Type,          &PyFunction_Type,      &PyMethod_Type,           &PyCFunction_Type,       &PySlice_Type,
        &PyListIter_Type,      &PyTupleIter_Type,     &PyDictIterKey_Type,      &PyDictIterValue_Type,   &PyDictIterItem_Type,
        &PySetIter_Type,       &PyUnicodeIter_Type,   &PyBytesIter_Type,        &PySeqIter_Type,         &PyEnum_Type,
        &PyZip_Type,           &PyMap_Type,           &PyFilter_Type,           &PyReversed_Type,        &PyDictKeys_Type,
        &PyDictValues_Type,    &PyDictItems_Type,     &PyTraceBack_Type,        &PyContext_Type,         &PyByteArrayIter_Type,
        &PyListRevIter_Type,   &PyDictRevIterKey_Type, &PyDictRevIterValue_Type, &PyDictRevIterItem_Type, &PyODict_Type,
        &PyProperty_Type,      &PyStaticMethod_Type,  &PyClassMethod_Type,
    };
    return is_among(type, types, Py_ARRAY_LENGTH(types)) || is_builtin_exception(type);
}

/* Of what it derives from that is not written in Python, its memory is given back in that one's way. */
static bool is_plain_class(PyTypeObject *type)
{
    if (dealloc_of_class == NULL || type->tp_finalize != NULL || type->tp_del != NULL)
        return false;
    for (; type->tp_dealloc == dealloc_of_class; type = type->tp_base)
        if (PyType_IS_GC(type) && type->tp_traverse != traverse_of_class)
            return false;
    return type == &PyBaseObject_Type || is_leaf_type(type) || is_container_type(type);
}

bool core_is_plain_container(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return (is_container_type(type) || is_plain_class(type) || core_is_whole_frame(object)) && !is_exported(object) &&
           !has_weak_references(object);
}
