/* A letter for the type; then nothing, eight bytes, or a count: of bytes that follow, or of values that do. */
#include "plain_values.h"

#define DEEPEST 16 /* value in a value */
#define MOST_SHARED 16

/* ---- writing */

struct written {
    char *next, *end;
    bool in_shared; /* in a tuple that others refer to as well: perhaps another one of these values */
    int shared;
    PyObject *lists[MOST_SHARED]; /* and dicts, that others refer to as well, or to their tuple */
};

static bool put(struct written *to, const void *bytes, size_t length)
{
    if (length > (size_t)(to->end - to->next))
        return false;
    memcpy(to->next, bytes, length);
    to->next += length;
    return true;
}

static bool put_head(struct written *to, char type, Py_ssize_t count)
{
    uint32_t counted = (uint32_t)count;
    return count <= (Py_ssize_t)CORE_MOST_PLAIN_BYTES && put(to, &type, 1) && put(to, &counted, sizeof counted);
}

static bool put_block(struct written *to, char type, const void *bytes, Py_ssize_t length)
{
    return put_head(to, type, length) && put(to, bytes, (size_t)length);
}

static bool put_integer(struct written *to, PyObject *value)
{
    int overflow;
    int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0 && put(to, "i", 1) && put(to, &number, sizeof number);
}

static bool put_double(struct written *to, double number)
{
    return put(to, "d", 1) && put(to, &number, sizeof number);
}

static bool put_text(struct written *to, PyObject *value)
{
    Py_ssize_t length;
    if (PyUnicode_GET_LENGTH(value) > (Py_ssize_t)CORE_MOST_PLAIN_BYTES)
        return false;
    const char *text = PyUnicode_AsUTF8AndSize(value, &length);
    if (text == NULL)
        PyErr_Clear(); /* half of a surrogate pair has no UTF-8 */
    return text != NULL && put_block(to, 's', text, length);
}

static bool put_constant(struct written *to, PyObject *value)
{
    char letter = value == Py_None ? 'n' : value == Py_True ? 't' : 'f';
    return (letter != 'f' || value == Py_False) && put(to, &letter, 1);
}

/*
 * Whether it is written for the first time, if that can be told: what lies in the value twice is to be one object in the copy,
 * too, and by no end of bytes is a list written that lies in itself.
 */
static bool is_first(struct written *to, PyObject *list)
{
    if (Py_REFCNT(list) == 1 && !to->in_shared)
        return true;
    for (int i = 0; i < to->shared; i++)
        if (to->lists[i] == list)
            return false;
    if (to->shared == MOST_SHARED)
        return false;
    to->lists[to->shared++] = list;
    return true;
}

static bool put_value(struct written *to, PyObject *value, int depth);

static bool put_tuple(struct written *to, PyObject *tuple, int depth)
{
    const bool before = to->in_shared;
    bool fits = put_head(to, '(', PyTuple_GET_SIZE(tuple));
    to->in_shared |= Py_REFCNT(tuple) > 1;
    for (Py_ssize_t i = 0; fits && i < PyTuple_GET_SIZE(tuple); i++)
        fits = put_value(to, PyTuple_GET_ITEM(tuple, i), depth + 1);
    to->in_shared = before;
    return fits;
}

static bool put_list(struct written *to, PyObject *list, int depth)
{
    const bool before = to->in_shared;
    bool fits = is_first(to, list) && put_head(to, '[', PyList_GET_SIZE(list));
    to->in_shared = false;
    for (Py_ssize_t i = 0; fits && i < PyList_GET_SIZE(list); i++)
        fits = put_value(to, PyList_GET_ITEM(list, i), depth + 1);
    to->in_shared = before;
    return fits;
}

static bool put_dict(struct written *to, PyObject *dict, int depth)
{
    PyObject *key, *value;
    Py_ssize_t place = 0;
    const bool before = to->in_shared;
    bool fits = is_first(to, dict) && put_head(to, '{', PyDict_GET_SIZE(dict));
    to->in_shared = false;
    while (fits && PyDict_Next(dict, &place, &key, &value))
        fits = put_value(to, key, depth + 1) && put_value(to, value, depth + 1);
    to->in_shared = before;
    return fits;
}

static bool put_container(struct written *to, PyObject *value, int depth)
{
    if (PyTuple_CheckExact(value))
        return put_tuple(to, value, depth);
    if (PyList_CheckExact(value))
        return put_list(to, value, depth);
    return PyDict_CheckExact(value) && put_dict(to, value, depth);
}

static bool put_value(struct written *to, PyObject *value, int depth)
{
    if (PyLong_CheckExact(value))
        return put_integer(to, value);
    if (PyUnicode_CheckExact(value))
        return put_text(to, value);
    if (PyFloat_CheckExact(value))
        return put_double(to, PyFloat_AS_DOUBLE(value));
    if (PyBytes_CheckExact(value))
        return put_block(to, 'b', PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    return put_constant(to, value) || (depth < DEEPEST && put_container(to, value, depth));
}

Py_ssize_t core_plain_write(PyObject *value, char *place, size_t room)
{
    struct written to;
    to.next = place;
    to.end = place + (room < CORE_MOST_PLAIN_BYTES ? room : CORE_MOST_PLAIN_BYTES);
    to.in_shared = false;
    to.shared = 0;
    return put_value(&to, value, 0) ? to.next - place : -1;
}

/* ---- reading: anything may stand there */

struct read {
    const char *next, *end;
};

static PyObject *invalid(void)
{
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "invalid result: expected a plain value, got other bytes");
    return NULL;
}

static bool get(struct read *from, void *bytes, size_t length)
{
    if (length > (size_t)(from->end - from->next))
        return false;
    memcpy(bytes, from->next, length);
    from->next += length;
    return true;
}

/* Of bytes or of values, each of which has a byte at least: no count is larger than what is left. */
static bool get_count(struct read *from, Py_ssize_t *count)
{
    uint32_t counted;
    if (!get(from, &counted, sizeof counted) || counted > (size_t)(from->end - from->next))
        return false;
    *count = (Py_ssize_t)counted;
    return true;
}

enum changing { FIXED, MAY_CHANGE }; /* a key of a dict is none of those that may */

static PyObject *get_value(struct read *from, int depth, enum changing changing);

static PyObject *get_items(struct read *from, PyObject *(*make)(Py_ssize_t), int depth, enum changing changing)
{
    Py_ssize_t count;
    if (depth >= DEEPEST || !get_count(from, &count))
        return invalid();
    PyObject *items = make(count);
    for (Py_ssize_t i = 0; items != NULL && i < count; i++) {
        PyObject *item = get_value(from, depth + 1, changing);
        if (item == NULL)
            Py_CLEAR(items);
        else if (PyTuple_CheckExact(items))
            PyTuple_SET_ITEM(items, i, item);
        else
            PyList_SET_ITEM(items, i, item);
    }
    return items;
}

static PyObject *get_dict(struct read *from, int depth)
{
    Py_ssize_t count;
    if (depth >= DEEPEST || !get_count(from, &count))
        return invalid();
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < count; i++) {
        PyObject *key = get_value(from, depth + 1, FIXED);
        PyObject *value = key == NULL ? NULL : get_value(from, depth + 1, MAY_CHANGE);
        if (value == NULL || PyDict_SetItem(dict, key, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *get_block(struct read *from, PyObject *(*make)(const char *, Py_ssize_t))
{
    Py_ssize_t length;
    if (!get_count(from, &length))
        return invalid();
    from->next += length;
    return make(from->next - length, length);
}

static PyObject *text_of(const char *bytes, Py_ssize_t length)
{
    return PyUnicode_DecodeUTF8(bytes, length, NULL);
}

static PyObject *get_list_or_dict(struct read *from, char type, int depth)
{
    if (type == '[')
        return get_items(from, PyList_New, depth, MAY_CHANGE);
    return type == '{' ? get_dict(from, depth) : invalid();
}

static PyObject *get_value(struct read *from, int depth, enum changing changing)
{
    char type = 0;
    int64_t integer;
    double number;
    if (!get(from, &type, 1))
        return invalid();
    switch (type) {
    case 'n':
        return Py_NewRef(Py_None);
    case 't':
        return Py_NewRef(Py_True);
    case 'f':
        return Py_NewRef(Py_False);
    case 'i':
        return get(from, &integer, sizeof integer) ? PyLong_FromLongLong(integer) : invalid();
    case 'd':
        return get(from, &number, sizeof number) ? PyFloat_FromDouble(number) : invalid();
    case 's':
        return get_block(from, text_of);
    case 'b':
        return get_block(from, PyBytes_FromStringAndSize);
    case '(':
        return get_items(from, PyTuple_New, depth, changing);
    default:
        return changing == MAY_CHANGE ? get_list_or_dict(from, type, depth) : invalid();
    }
}

PyObject *core_plain_read(const char *bytes, size_t length)
{
    struct read from = {bytes, bytes + length};
    if (length > CORE_MOST_PLAIN_BYTES) /* seven of them make a dict, of two hundred bytes of memory */
        return invalid();
    PyObject *value = get_value(&from, 0, MAY_CHANGE);
    if (value != NULL && from.next != from.end)
        Py_CLEAR(value);
    return value == NULL ? invalid() : value;
}

/* ---- for Python */

PyObject *core_plain_value(PyObject *module, PyObject *bytes)
{
    Py_buffer view;
    (void)module;
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *value = core_plain_read(view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return value;
}

PyObject *core_plain_bytes(PyObject *module, PyObject *value)
{
    char bytes[CORE_MOST_PLAIN_BYTES];
    Py_ssize_t length = core_plain_write(value, bytes, sizeof bytes);
    (void)module;
    return length < 0 ? Py_NewRef(Py_None) : PyBytes_FromStringAndSize(bytes, length);
}
