/*
 * Which objects are plain: those of listed types, for another may have a finalizer; and what is written in Python without
 * one.
 */
#include "python_inside.h"

#define _PY_DATETIME_IMPL /* its structures, without the pointer to what it exports */
#include <datetime.h>

static destructor dealloc_of_class;
static traverseproc traverse_of_class;
static PyTypeObject *deque, *defaultdict, *managed_buffer; /* NULL: not known */

static PyTypeObject *type_of(PyObject *module, const char *name)
{
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    PyErr_Clear();
    return type != NULL && PyType_Check(type) ? (PyTypeObject *)type : NULL;
}

/* It has no name in Python. */
static PyTypeObject *find_managed_buffer(void)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, 0), *view = bytes == NULL ? NULL : PyMemoryView_FromObject(bytes);
    PyTypeObject *type = view == NULL ? NULL : Py_TYPE(((PyMemoryViewObject *)view)->mbuf);
    Py_XDECREF(view);
    Py_XDECREF(bytes);
    PyErr_Clear();
    return type;
}

void core_plain_ready(PyTypeObject *class)
{
    PyObject *collections = PyImport_ImportModule("_collections"); /* which Python begins with */
    deque = type_of(collections, "deque");
    defaultdict = type_of(collections, "defaultdict");
    Py_XDECREF(collections);
    managed_buffer = find_managed_buffer();
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

/*
 * Of a module that need not be imported: a type that is written in C, by its name. A class of Python may have
 * the same name, but is given up in another way.
 */
static bool is_native(PyTypeObject *type, const char *name)
{
    return type->tp_dealloc != dealloc_of_class && strcmp(type->tp_name, name) == 0;
}

/* What a class keeps before its instances has a negative offset. */
static bool has_weak_references(PyObject *object)
{
    Py_ssize_t offset = Py_TYPE(object)->tp_weaklistoffset;
    return offset != 0 && *(PyObject **)((char *)object + offset) != NULL;
}

/* To a memoryview, or to native code: each has a reference to it as well. */
static bool is_exported(PyObject *object)
{
    return PyByteArray_CheckExact(object) && ((PyByteArrayObject *)object)->ob_exports > 0;
}

/* Ranges and their iterators hold integers only. */
static bool is_leaf_type(PyTypeObject *type)
{
    static PyTypeObject *const types[] = {
        &PyUnicode_Type, &PyLong_Type,  &PyBytes_Type,     &PyFloat_Type,         &PyBool_Type,        &PyByteArray_Type,
        &PyRange_Type,   &PyCode_Type,  &PyRangeIter_Type, &PyLongRangeIter_Type, &PyComplex_Type,
    };
    return is_among(type, types, Py_ARRAY_LENGTH(types)) || is_native(type, "datetime.date") ||
           is_native(type, "datetime.timedelta") || is_native(type, "decimal.Decimal");
}

/* As Modules/arraymodule.c has it. */
struct array {
    PyObject_VAR_HEAD
    char *items;
    Py_ssize_t allocated;
    const void *kind;
    PyObject *weak_references;
    Py_ssize_t exports;
};

/* A task that has its buffer may be reading into it. */
static bool is_quiet_array(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return is_native(type, "array.array") && type->tp_basicsize == sizeof(struct array) &&
           ((struct array *)object)->exports == 0;
}

bool core_is_plain_leaf(PyObject *object)
{
    return ((is_leaf_type(Py_TYPE(object)) || is_quiet_array(object)) && !is_exported(object) &&
            !has_weak_references(object)) ||
           object == Py_None || object == Py_Ellipsis || object == Py_NotImplemented;
}

/* As Modules/_datetimemodule.c has it. */
struct zone {
    PyObject_HEAD
    PyObject *offset, *name;
};

/*
 * Times know their zone, which may be anything; but the collector does not look into them. What a class of
 * Python derives from one is none: what it holds would stay unseen.
 */
static bool is_of_a_zone(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return is_native(type, "datetime.datetime") || is_native(type, "datetime.time") ||
           (is_native(type, "datetime.timezone") && type->tp_basicsize == sizeof(struct zone));
}

static int go_through_zone(PyObject *object, visitproc visit, void *arg)
{
    const char *name = Py_TYPE(object)->tp_name;
    if (strcmp(name, "datetime.timezone") != 0) {
        bool has_date = strcmp(name, "datetime.datetime") == 0;
        return visit(has_date ? PyDateTime_DATE_GET_TZINFO(object) : PyDateTime_TIME_GET_TZINFO(object), arg);
    }
    const struct zone *zone = (const struct zone *)object;
    Py_VISIT(zone->offset);
    Py_VISIT(zone->name);
    return 0;
}

int core_go_through(PyObject *object, visitproc visit, void *context)
{
    traverseproc traverse = is_of_a_zone(object) ? go_through_zone : Py_TYPE(object)->tp_traverse;
    return traverse == NULL ? 0 : traverse(object, visit, context);
}

/* The static types are the interpreter's, but for those of old modules, which name the module. */
static bool is_builtin_exception(PyTypeObject *type)
{
    return PyType_FastSubclass(type, Py_TPFLAGS_BASE_EXC_SUBCLASS) &&
           !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && strchr(type->tp_name, '.') == NULL;
}

/* What the variables of a context are kept in. */
static bool is_of_contexts(PyTypeObject *type)
{
    return type == &PyContext_Type || type == &PyContextToken_Type || type == &PyContextVar_Type ||
           (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && strncmp(type->tp_name, "hamt", 4) == 0);
}

static bool is_container_type(PyTypeObject *type)
{
    static PyTypeObject *const types[] = {
        &PyTuple_Type,         &PyList_Type,          &PyDict_Type,             &PySet_Type,             &PyFrozenSet_Type,
        &PyCell_Type,          &PyFunction_Type,      &PyMethod_Type,           &PyCFunction_Type,       &PySlice_Type,
        &PyListIter_Type,      &PyTupleIter_Type,     &PyDictIterKey_Type,      &PyDictIterValue_Type,   &PyDictIterItem_Type,
        &PySetIter_Type,       &PyUnicodeIter_Type,   &PyBytesIter_Type,        &PySeqIter_Type,         &PyEnum_Type,
        &PyZip_Type,           &PyMap_Type,           &PyFilter_Type,           &PyReversed_Type,        &PyDictKeys_Type,
        &PyDictValues_Type,    &PyDictItems_Type,     &PyTraceBack_Type,        &PyMemoryView_Type,      &PyByteArrayIter_Type,
        &PyListRevIter_Type,   &PyDictRevIterKey_Type, &PyDictRevIterValue_Type, &PyDictRevIterItem_Type, &PyODict_Type,
        &PyProperty_Type,      &PyStaticMethod_Type,  &PyClassMethod_Type,
    };
    return is_among(type, types, Py_ARRAY_LENGTH(types)) || type == deque || type == defaultdict ||
           is_builtin_exception(type) || is_of_contexts(type);
}

/* What memoryviews of one object share; what it does to give it back is another's matter, but for these. */
static bool is_plain_buffer(PyObject *object)
{
    if (managed_buffer == NULL || !Py_IS_TYPE(object, managed_buffer))
        return false;
    PyObject *owner = ((_PyManagedBufferObject *)object)->master.obj;
    return owner == NULL || PyBytes_CheckExact(owner) || PyByteArray_CheckExact(owner);
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
    bool is_plain = is_container_type(type) || is_plain_class(type) || is_exported(object) || is_plain_buffer(object) ||
                    core_is_whole_frame(object) || is_of_a_zone(object);
    return is_plain && !has_weak_references(object);
}
