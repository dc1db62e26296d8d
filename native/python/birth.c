/* One call of Python, ramet._core.clone, and the four ways in which a child can come of it. */
#include "core.h"

#include <linux/sched.h>
#include <unistd.h>

#include "births.h"
#include "lease.h"

long core_exit_call(const struct core_birth *birth)
{
    return birth->request.args.flags & CLONE_THREAD ? __NR_exit : __NR_exit_group;
}

bool core_clears_handlers(const struct core_birth *birth)
{
    return !(birth->request.args.flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND));
}

/*
 * SIGHAND: the handler would be the caller's as well. THREAD: ends with the process anyway. PARENT:
 * the parent is another process. NEWPID: the child cannot see its parent's pid.
 */
pid_t core_owner(const struct core_birth *birth)
{
    return birth->request.args.flags & (CLONE_SIGHAND | CLONE_THREAD | CLONE_PARENT | CLONE_NEWPID) ? 0 : getpid();
}

static PyObject *pid_alone(long pid)
{
    return pid < 0 ? core_raise_errno(pid) : Py_BuildValue("lO", pid, Py_None);
}

static PyObject *make(struct core_birth *birth)
{
    uint64_t flags = birth->request.args.flags;
    if (birth->by_fork)
        return pid_alone(core_birth_fork(birth));
    if (!(flags & CLONE_VM))
        return pid_alone(core_birth_copied(birth));
    if (flags & CLONE_VFORK)
        return pid_alone(core_birth_suspending(birth));
    if (flags & CLONE_SETTLS) {
        ramet_lease_sweep();
        return pid_alone(core_birth_native(birth));
    }
    return core_birth_carried(birth);
}

static bool read_function(struct core_birth *birth, PyObject *fn, PyObject *arg)
{
    birth->native = PyLong_Check(fn);
    if (birth->native) {
        birth->fn = PyLong_AsVoidPtr(fn);
        birth->arg = arg == Py_None ? NULL : PyLong_AsVoidPtr(arg);
        return !PyErr_Occurred();
    }
    birth->fn = fn == Py_None ? NULL : fn;
    birth->arg = arg;
    return true;
}

static bool read_words(struct core_birth *birth, PyObject *words)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(words) && i < 2; i++) {
        PyObject *word = PyTuple_GET_ITEM(words, i);
        if (!PyObject_TypeCheck(word, &TidWord_Type)) {
            PyErr_SetString(PyExc_TypeError, "words must be TidWords");
            return false;
        }
        birth->words[i] = ((TidWordObject *)word)->word;
    }
    return true;
}

bool core_read_args(struct ramet_clone_args *args, const Py_buffer *block)
{
    if (block->len != sizeof *args) {
        PyErr_Format(PyExc_ValueError, "clone_args has %zu bytes", sizeof *args);
        return false;
    }
    memcpy(args, block->buf, sizeof *args);
    return true;
}

PyObject *core_clone(PyObject *module, PyObject *args)
{
    struct core_birth birth = {0};
    Py_buffer block;
    PyObject *fn, *arg, *stack, *words;
    int by_fork, legacy, stopped;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*npppOOOOO!n:clone", &block, &size, &by_fork, &legacy, &stopped, &fn, &arg, &birth.kept,
                          &stack, &PyTuple_Type, &words, &birth.carrier_stack_size))
        return NULL;
    birth.request.size = (size_t)size;
    birth.by_fork = by_fork;
    birth.request.legacy = legacy;
    birth.request.stopped = stopped;
    if (stack != Py_None && !PyObject_TypeCheck(stack, &Stack_Type)) {
        PyErr_SetString(PyExc_TypeError, "stack must be a Stack or None");
        PyBuffer_Release(&block);
        return NULL;
    }
    birth.stack = stack == Py_None ? NULL : ((StackObject *)stack)->stack;
    PyObject *result = NULL;
    if (core_read_args(&birth.request.args, &block) && read_function(&birth, fn, arg) && read_words(&birth, words))
        result = make(&birth);
    PyBuffer_Release(&block);
    return result;
}

PyObject *core_has_clear_sighand(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(ramet_has_clear_sighand());
}

PyObject *core_has_clone3(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(ramet_has_clone3());
}
