/* Interpreters with a GIL of their own: how they are made, used, and left. */
#include "subinterpreter.h"

#include "epoch.h"
#include "futex.h"

#if PY_VERSION_HEX >= 0x030c0000

#include <marshal.h>

/* All touched with the GIL of the main interpreter only. */
static struct core_interpreter *at_rest;
static uint64_t epoch;
static int being_made; /* a futex */

/*
 * The child is a process: exec replaces it alone, and daemon threads end with it. A fork is refused
 * by Python, which can do it in the main interpreter only.
 */
static const PyInterpreterConfig config = {
    .use_main_obmalloc = 0,
    .allow_fork = 0,
    .allow_exec = 1,
    .allow_threads = 1,
    .allow_daemon_threads = 1,
    .check_multi_interp_extensions = 1,
    .gil = PyInterpreterConfig_OWN_GIL,
};

/* In the child of a fork they are what they were at some moment in other threads. */
static void forget_the_parents(void)
{
    if (epoch != ramet_epoch())
        at_rest = NULL;
    epoch = ramet_epoch();
}

struct core_interpreter *core_interpreter_take(void)
{
    forget_the_parents();
    struct core_interpreter *interpreter = at_rest;
    if (interpreter != NULL)
        at_rest = interpreter->next;
    return interpreter;
}

void core_interpreter_rest(struct core_interpreter *interpreter)
{
    forget_the_parents();
    interpreter->next = at_rest;
    at_rest = interpreter;
}

void core_interpreter_drop(struct core_interpreter *interpreter)
{
    core_interpreter_show(interpreter->state);
    PyInterpreterState_Delete(interpreter->state);
    PyMem_RawFree(interpreter);
}

/* The modules of the subinterpreter make one namespace. */
static PyObject *load(const void *code, Py_ssize_t length)
{
    PyObject *names = PyDict_New();
    PyObject *modules = names == NULL ? NULL : PyMarshal_ReadObjectFromString(code, length);
    bool good = modules != NULL && PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) == 0;
    for (Py_ssize_t i = 0; good && i < PyTuple_GET_SIZE(modules); i++) {
        PyObject *nothing = PyEval_EvalCode(PyTuple_GET_ITEM(modules, i), names, names);
        good = nothing != NULL;
        Py_XDECREF(nothing);
    }
    Py_XDECREF(modules);
    if (!good)
        Py_CLEAR(names);
    return names;
}

static bool prepare(struct core_interpreter *interpreter, PyObject *child_code)
{
    PyObject *names = load(PyBytes_AS_STRING(child_code), PyBytes_GET_SIZE(child_code));
    if (names != NULL) {
        interpreter->run = Py_XNewRef(PyDict_GetItemString(names, "run"));
        interpreter->interrupted = Py_XNewRef(PyDict_GetItemString(names, "Interrupted"));
        Py_DECREF(names);
    }
    if (interpreter->run != NULL && interpreter->interrupted != NULL)
        return true;
    PyErr_WriteUnraisable(NULL);
    return false;
}

struct core_interpreter *core_interpreter_new(PyObject *child_code)
{
    PyThreadState *first; /* stays for good: 3.12 cannot make another first one */
    struct core_interpreter *interpreter = PyMem_RawCalloc(1, sizeof *interpreter);
    if (interpreter == NULL)
        return NULL;
    PyStatus status = Py_NewInterpreterFromConfig(&first, &config);
    if (PyStatus_Exception(status)) {
        PyMem_RawFree(interpreter);
        return NULL;
    }
    interpreter->state = PyThreadState_GetInterpreter(first);
    bool set_up = prepare(interpreter, child_code);
    PyEval_SaveThread();
    core_interpreter_hide(interpreter->state);
    if (set_up)
        return interpreter;
    core_interpreter_drop(interpreter);
    return NULL;
}

/* Of the caller's memory: what keeps it alive is the caller's, and nothing here may touch that. */
static PyObject *foreign_view(const Py_buffer *buffer)
{
    Py_buffer view = *buffer;
    view.obj = NULL;
    return PyMemoryView_FromBuffer(&view);
}

static PyObject *foreign_views(const SharedTaskObject *task)
{
    PyObject *views = PyTuple_New(task->view_count);
    for (Py_ssize_t i = 0; views != NULL && i < task->view_count; i++) {
        PyObject *view = foreign_view(&task->views[i]);
        if (view == NULL)
            Py_CLEAR(views);
        else
            PyTuple_SET_ITEM(views, i, view);
    }
    return views;
}

/* Whether a view, or a part of it, is still in use. */
static bool is_held(PyObject *view)
{
    PyObject *released = PyObject_CallMethod(view, "release", NULL);
    Py_XDECREF(released);
    if (released == NULL) {
        PyErr_Clear();
        return true;
    }
    return ((PyMemoryViewObject *)view)->mbuf->exports > 0;
}

static bool any_is_held(PyObject *views)
{
    bool held = false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(views); i++)
        held = is_held(PyTuple_GET_ITEM(views, i)) || held;
    return held;
}

int core_interpreter_run(struct core_interpreter *interpreter, const SharedTaskObject *task, int failed_step, int error,
                         bool *lent)
{
    PyObject *views = foreign_views(task);
    PyObject *arrival = views == NULL ? NULL : Py_BuildValue("Oii", views, failed_step, error);
    if (arrival == NULL) {
        Py_XDECREF(views);
        return core_code_of_failure();
    }
    int code = core_invoke(interpreter->run, arrival);
    Py_DECREF(arrival);
    *lent = any_is_held(views);
    if (*lent) {
        PyGC_Collect();
        *lent = any_is_held(views);
    }
    Py_DECREF(views);
    return code;
}

void core_interpreter_being_made(int more)
{
    being_made += more;
    ramet_futex_wake(&being_made);
}

PyObject *core_before_fork(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    for (int now; (now = being_made) != 0;) {
        Py_BEGIN_ALLOW_THREADS
        ramet_futex_wait(&being_made, now, NULL);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

#else /* before 3.12 all interpreters share one GIL; clone.py says so */

struct core_interpreter *core_interpreter_take(void)
{
    return NULL;
}

struct core_interpreter *core_interpreter_new(PyObject *child_code)
{
    (void)child_code;
    return NULL;
}

void core_interpreter_rest(struct core_interpreter *interpreter)
{
    (void)interpreter;
}

void core_interpreter_drop(struct core_interpreter *interpreter)
{
    (void)interpreter;
}

int core_interpreter_run(struct core_interpreter *interpreter, const SharedTaskObject *task, int failed_step, int error,
                         bool *lent)
{
    (void)interpreter, (void)task, (void)failed_step, (void)error, (void)lent;
    return 1;
}

void core_interpreter_being_made(int more)
{
    (void)more;
}

PyObject *core_before_fork(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    Py_RETURN_NONE;
}

#endif
