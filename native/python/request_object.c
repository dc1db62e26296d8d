/* ramet._core.Request: one request for a task, read once; each way of making one begins with a copy of it. */
#include "clone_request.h"
#include "plan_object.h"

typedef struct {
    PyObject_HEAD
    struct core_request request;
    PyObject *keeps; /* what it points to */
} RequestObject;

bool core_read_request(struct core_request *request, PyObject *object)
{
    if (!Py_IS_TYPE(object, &Request_Type)) {
        core_raise_invalid(PyExc_TypeError, "request", "a Request", object);
        return false;
    }
    *request = ((RequestObject *)object)->request;
    return true;
}

static bool read_args(struct ramet_clone_args *args, const Py_buffer *block)
{
    if (block->len != sizeof *args) {
        PyErr_Format(PyExc_ValueError, "invalid args: expected a struct clone_args of %zu bytes, got %zd", sizeof *args, block->len);
        return false;
    }
    memcpy(args, block->buf, sizeof *args);
    return true;
}

static bool is_none_or(PyObject *object, PyTypeObject *type, const char *name)
{
    if (object == Py_None || PyObject_TypeCheck(object, type))
        return true;
    PyErr_Format(PyExc_TypeError, "invalid %s: expected a %s or None, got %.100s", name, type->tp_name, Py_TYPE(object)->tp_name);
    return false;
}

static bool read_words(struct core_request *request, PyObject *words)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(words) && i < 2; i++) {
        PyObject *word = PyTuple_GET_ITEM(words, i);
        if (!is_none_or(word, &TidWord_Type, "words"))
            return false;
        request->words[i] = word == Py_None ? NULL : ((TidWordObject *)word)->word;
    }
    return true;
}

static bool fill_in(struct core_request *request, const Py_buffer *block, PyObject *stack, PyObject *words, PyObject *timeout,
                 PyObject *plan)
{
    if (!read_args(&request->kernel.args, block) || !is_none_or(stack, &Stack_Type, "stack") ||
        !is_none_or(plan, &Plan_Type, "plan") || !read_words(request, words))
        return false;
    request->stack = stack == Py_None ? NULL : ((StackObject *)stack)->stack;
    request->plan = plan == Py_None ? NULL : plan;
    request->timeout = core_timeout(timeout);
    return request->timeout != -2;
}

static PyObject *request_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"args",  "words",      "size",    "legacy",       "stopped",         "pids",
                            "stack", "stack_size", "timeout", "another_user", "own_interpreter", "plan", NULL};
    struct core_request request = {0};
    Py_buffer block;
    PyObject *pids = Py_None, *stack = Py_None, *words, *timeout = Py_None, *plan = Py_None;
    Py_ssize_t size = sizeof request.kernel.args;
    int legacy = 0, stopped = 0, another_user = 0, own_interpreter = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*O!|$nppOOnOppO:Request", names, &block, &PyTuple_Type, &words, &size,
                                     &legacy, &stopped, &pids, &stack, &request.host_stack_size, &timeout, &another_user,
                                     &own_interpreter, &plan))
        return NULL;
    request.kernel.size = (size_t)size;
    request.kernel.legacy = legacy;
    request.kernel.stopped = stopped;
    request.another_user = another_user;
    request.own_interpreter = own_interpreter;
    PyObject *keeps = Py_BuildValue("OOOO", pids, stack, words, plan);
    bool good = keeps != NULL && fill_in(&request, &block, stack, words, timeout, plan);
    PyBuffer_Release(&block);
    RequestObject *self = good ? (RequestObject *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL) {
        Py_XDECREF(keeps);
        return NULL;
    }
    self->request = request;
    self->keeps = keeps;
    return (PyObject *)self;
}

static void request_dealloc(RequestObject *self)
{
    Py_XDECREF(self->keeps);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject Request_Type = {
    CORE_TYPE("Request", RequestObject, 0),
    .tp_doc = "Request(args, words, *, size=88, legacy=False, stopped=False, pids=None, stack=None, stack_size=0, "
              "timeout=None, another_user=False, own_interpreter=False, plan=None)\n--\n\n"
              "What a task is asked for with. args: a packed struct clone_args. pids, stack, words: what it points to.\n"
              "stack_size: of the host thread. The last three: see core_request.",
    .tp_new = request_new,
    .tp_dealloc = (destructor)request_dealloc,
};
