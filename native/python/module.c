/* The module ramet._core: nothing here is public. */
#include "clone_request.h"
#include "child_handle.h"
#include "mapping.h"
#include "openmp_pool.h"
#include "own_interpreter.h"
#include "own_types.h"
#include "call_pickles.h"
#include "plan_object.h"
#include "python_recovery.h"

/* For every interpreter. */
static PyMethodDef everywhere[] = {
    {"has_clear_sighand", core_has_clear_sighand, METH_NOARGS,
     "has_clear_sighand()\n--\n\nWhether clone3 knows CLEAR_SIGHAND."},
    {"has_close_range", core_has_close_range, METH_NOARGS,
     "has_close_range()\n--\n\nWhether the kernel lets this process call close_range."},
    {"has_clone3", core_has_clone3, METH_NOARGS, "has_clone3()\n--\n\nWhether the kernel lets this process call clone3."},
    {"credentials_now", core_credentials_now, METH_NOARGS,
     "credentials_now()\n--\n\nA hash of what the calling thread may do."},
    {"has_our_rights", core_has_our_rights, METH_VARARGS,
     "has_our_rights(pid, pidfd, in_any_pid_namespace, /)\n--\n\n"
     "Whether a child that has not been reaped has the credentials of the calling thread; False when that cannot be read."},
    {"kcmp", core_kcmp, METH_VARARGS,
     "kcmp(pid1, pid2, kind, index1, index2, /)\n--\n\nkcmp(2): 0 equal, 1 and 2 in an order, 3 different."},
    {"same_files", core_same_files, METH_VARARGS,
     "same_files(paths, identities, /)\n--\n\n"
     "Whether each path, a 0 after each, leads to the file of its device and inode, two words each; nowhere, where both are 0."},
    {"file_identities", core_file_identities, METH_O,
     "file_identities(paths, /)\n--\n\n"
     "What each path, a 0 after each, leads to: four words that no later file has; zeros where nothing is there."},
    {"wait_readable", core_wait_readable, METH_VARARGS,
     "wait_readable(descriptor, timeout, /)\n--\n\n"
     "Waits until it can be read, as a pidfd can at its task's end; timeout in seconds or None. Returns whether it can."},
    {"wait_any", core_wait_any, METH_VARARGS,
     "wait_any(awaited, timeout, /)\n--\n\n"
     "Waits until one of a tuple of children and descriptors can be read, or was waited for; timeout in seconds or None.\n\n"
     "Returns those as a set. The pidfd of a child stays open meanwhile, whoever waits for it."},
    {"waitid", core_waitid, METH_VARARGS,
     "waitid(idtype, number, options, /)\n--\n\nReturns (pid, code, status, struct rusage) or None."},
    {NULL, NULL, 0, NULL},
};

/* For those with the GIL of the main interpreter. */
static PyMethodDef with_main_gil[] = {
    {"clone", (PyCFunction)(void (*)(void))core_clone, METH_FASTCALL,
     "clone(request, fn, arg, kept, /)\n--\n\n"
     "Makes a task. Returns (pid, SharedTask or None), and (0, None) in a child that returns twice."},
    {"fork", core_fork_twice, METH_NOARGS, "fork()\n--\n\nlibc's. Returns the pid, and 0 in the child."},
    {"copy", (PyCFunction)(void (*)(void))core_copy, METH_FASTCALL,
     "copy(child, outcome, request, fn, args, /)\n--\n\n"
     "Calls fn(*args) in a child of libc's fork() (request None), or as a Request asks for it.\n"
     "The Handle stands for it, and the Mapping is for the outcome."},
    {"flush_standard_streams", core_flush, METH_NOARGS,
     "flush_standard_streams()\n--\n\nsys.stdout and sys.stderr; one that is broken, closed or missing is skipped."},
    {"renew_native_id", core_renew_native_id, METH_O,
     "renew_native_id(thread, /)\n--\n\nIn a copy of its process: threading's object for this thread has its number."},
    {"close", core_close, METH_NOARGS,
     "close()\n--\n\nWhen the interpreter ends: from here on only its main thread makes children.\n\n"
     "Returns whether it has other threads."},
    {"new_pid_namespace", core_new_pid_namespace, METH_O,
     "new_pid_namespace(held, /)\n--\n\n"
     "Makes the init of a new pid namespace, as a child of this process's parent, with which it ends. Returns (pid, pidfd).\n\n"
     "held: a descriptor that it closes when this process is gone and it has unmapped its memory; -1: that stays."},
    {"begin_in_pid_namespace", core_begin_in_pid_namespace, METH_VARARGS,
     "begin_in_pid_namespace(init, child, /)\n--\n\n"
     "Tells that init, by its pid, with which child all ends, by its number in the namespace; -1: with none."},
    {"close_aside", core_close_aside, METH_O,
     "close_aside(descriptor, /)\n--\n\nCloses it by a thread, as that may wait; where there is none, with a later one."},
    {"channels", core_channels, METH_NOARGS, "channels()\n--\n\nTwo ends of a new socket."},
    {"json_needs", core_json_needs, METH_O,
     "json_needs(text, /)\n--\n\nWhat json's reader would take for it at most: levels, members of one object, letters of one number, bytes of memory."},
    {"plain_bytes", core_plain_bytes, METH_O,
     "plain_bytes(value, /)\n--\n\nWhat plain_value() reads. None when the value is not plain, or too long."},
    {"plain_value", core_plain_value, METH_O,
     "plain_value(written, /)\n--\n\nThe value in what Channel.send_plain() has sent. ValueError for other bytes; plain_values.h says what is plain."},
    {"fill_memory", core_fill_memory, METH_VARARGS,
     "fill_memory(descriptor, size, parts, /)\n--\n\n"
     "Copies the parts into a memfd of that size, each aligned, in huge pages; False where the kernel makes none."},
    {"gather_objects", core_gather_objects, METH_O,
     "gather_objects(wanted, /)\n--\n\n"
     "From here on, or no longer, the arenas of Python's objects lie side by side, where huge pages can be made of them."},
    {"make_huge", core_make_huge, METH_NOARGS,
     "make_huge()\n--\n\n"
     "Makes huge pages of what this process alone has written to. The bytes that are in some; 0 before Linux 6.1."},
    {"memory_of", core_memory_of, METH_O,
     "memory_of(part, /)\n--\n\nThe OwnMemory in which the buffer lies, and where; None when it lies in none."},
    {"copy_memory", core_copy_memory, METH_VARARGS,
     "copy_memory(descriptor, start, size, holes, /)\n--\n\n"
     "Writes memory of this process, by its address, to a file, from its begin on; what cannot be read is left out, and where it\n"
     "has holes what is not in memory."},
    {"replace_mapping", core_replace_mapping, METH_VARARGS,
     "replace_mapping(start, size, protection, descriptor, offset, /)\n--\n\n"
     "Puts private memory in the place of what is mapped there: a file's, or empty for -1. Source: mmap(2) MAP_FIXED."},
    {"settle_memory", core_settle_memory, METH_NOARGS,
     "settle_memory()\n--\n\nBefore a fork: what is written to an OwnMemory from here on is its process's alone."},
    {"named_call", (PyCFunction)(void (*)(void))core_named_call, METH_FASTCALL,
     "named_call(fn, args, keywords={}, /)\n--\n\n"
     "For plain_value(): the names of the function's module and of the function, and the arguments. None when it has no\n"
     "name, or they are not plain."},
    {"reads_call", core_reads_call, METH_NOARGS,
     "reads_call()\n--\n\nWhether this process, a clone of a template, reads a call now."},
    {"note_reading", core_note_reading, METH_O,
     "note_reading(is_reading, /)\n--\n\nIt does, or it does no more, from now on. Returns whether it did."},
    {"is_as_before", (PyCFunction)(void (*)(void))core_is_as_before, METH_FASTCALL,
     "is_as_before(place, /, *pairs)\n--\n\n"
     "Whether process_place() is that, and of each pair of dicts or lists both have the same objects in the same places; it may be\n"
     "False also of equal ones."},
    {"process_place", core_process_place, METH_NOARGS,
     "process_place()\n--\n\nThe same bytes as long as the working directory, and what standard output and error are, stay the same."},
    {"drain", core_drain, METH_NOARGS,
     "drain()\n--\n\nEnds the host threads at rest, and deletes the thread state that this thread keeps."},
    {"before_fork", core_before_fork, METH_NOARGS,
     "before_fork()\n--\n\nWaits until no interpreter is being made, which no fork survives."},
    {"know_exit_status", core_know_exit_status, METH_VARARGS,
     "know_exit_status(kind, slot, /)\n--\n\nThe class of exit statuses, and where it has all that it says."},
    {"end_collection", core_end_collection_of_dead, METH_NOARGS,
     "end_collection()\n--\n\n"
     "Whether the garbage collector, in which a thread has died, has been given back; None: no collection is on."},
    {"forget_number", core_forget_number, METH_VARARGS,
     "forget_number(each, place, /)\n--\n\nThe object has the number of a descriptor in that word: it has none any more."},
    {"held_by", core_held_by, METH_O, "held_by(ident, /)\n--\n\nAll buffered files whose owner is that thread; 0: that have none."},
    {"is_locked", core_is_locked, METH_O, "is_locked(file, /)\n--\n\nWhether a thread has the lock of a buffered file."},
    {"know_buffered", core_know_buffered, METH_VARARGS,
     "know_buffered(kinds, owner, /)\n--\n\nThe kinds of buffered files, and the word in which each has its owner."},
    {"leave_buffered", core_leave_buffered, METH_O, "leave_buffered(file, /)\n--\n\nGives back the lock of a buffered file."},
    {"leave_shutdown", core_leave_shutdown, METH_VARARGS,
     "leave_shutdown(handle, ident, /)\n--\n\nThe end of the interpreter waits no more for the thread of a _thread._ThreadHandle."},
    {"forget_dead", core_forget_thread_of_dead, METH_VARARGS,
     "forget_dead(listed, key, thread, ident, /)\n--\n\n"
     "Takes a thread off one of threading's lists whose task is gone though it stands there. Whether it did."},
    {"recognize", core_recognize, METH_VARARGS,
     "recognize(sample, switch_interval, collections, knows_files, /)\n--\n\n"
     "Compares Python's and libc's structures with what is known by other means, and switches on what repairs them.\n\n"
     "To be called in a `with` block of the sample, the first variable of the function that calls it."},
    {"recovery_status", core_recovery_status, METH_NOARGS,
     "recovery_status()\n--\n\nFor each part of the recovery after a death why it is off; None: it is on."},
    {"lends", core_lends, METH_O,
     "lends(tid, /)\n--\n\nWhether that thread lends a child of a child its stack."},
    {"end_openmp_pools", core_end_openmp_pools, METH_NOARGS,
     "end_openmp_pools()\n--\n\nEnds the threads that libgomp keeps for the calling thread; it begins others when it needs them."},
    {"run_fork_handlers", core_run_fork_handlers, METH_O,
     "run_fork_handlers(tids, /)\n--\n\n"
     "What libc and other libraries do before and after a fork, of which nothing comes; if these threads sleep, all.\n\n"
     "Returns whether they did."},
    {"words_of", core_words_of, METH_O, "words_of(file, /)\n--\n\nWhat lies in memory where the object is, word by word."},
    {"do_steps", core_do_steps, METH_O,
     "do_steps(plan, /)\n--\n\nCarries out a plan in the calling task. Returns (failed step or -1, its errno)."},
    {"end_tree_at", core_end_tree_at, METH_VARARGS,
     "end_tree_at(signal, with_parent, /)\n--\n\n"
     "That signal ends this process from here on, with all that it has started; with_parent: it comes with the end of the\n"
     "thread that made it."},
    {"share", (PyCFunction)(void (*)(void))core_share, METH_FASTCALL,
     "share(child, request, fn, args, /)\n--\n\n"
     "Makes a task in shared memory that calls fn(*args); the Handle stands for it, and has its SharedTask. Returns whether it\n"
     "suspended its caller and ended with losses.\n"
     "With an interpreter of its own fn is the code of its subinterpreter, and args the memory that it sees."},
    {"spawn", (PyCFunction)(void (*)(void))core_spawn, METH_FASTCALL,
     "spawn(child, request, plan, /)\n--\n\n"
     "Makes a task that carries out a plan; the Handle stands for it. Returns None, or (failed step, its errno)."},
    {"launch_ahead", core_launch_ahead, METH_VARARGS,
     "launch_ahead(request, plan, place, nothing, /)\n--\n\n"
     "Makes a child that waits at the end of the plan: an Ahead, or (failed step, errno)."},
    {"launch_beside", (PyCFunction)(void (*)(void))core_launch_beside, METH_FASTCALL,
     "launch_beside(child, request, plan, manner, patience, /)\n--\n\n"
     "The same, the caller not suspended. Returns an Underway instead when it takes longer than so many seconds, or at once\n"
     "where patience is None. manner: see ramet_launch_manner."},
    {"new_child", (PyCFunction)(void (*)(void))core_new_child, METH_FASTCALL,
     "new_child(kind, what, flags, plain, /)\n--\n\n"
     "A Handle of that kind, for a child that is to be made. plain: whether waitid(2) tells all about its end."},
    {"trace_filter", core_trace_filter, METH_NOARGS,
     "trace_filter()\n--\n\nThe seccomp filter that stops at the calls of which a Tracer tells: struct sock_filter of each instruction."},
    {"trial_begin", core_trial_begin, METH_VARARGS,
     "trial_begin(args, size, legacy, page, offset, stays, /)\n--\n\n"
     "Puts a raw request to the kernel, unchecked. Returns the child's pid or -errno."},
    {"trial_end", core_trial_end, METH_VARARGS,
     "trial_end(page, offset, /)\n--\n\nLets the child of a trial go on, to its end."},
    {NULL, NULL, 0, NULL},
};

/*
 * Host threads, lent memory and types belong to the process, and one GIL guards them. So an interpreter with
 * another can import this module, and with it a program that uses it, and is told why it can do no more.
 */
static PyObject *refuse(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)type, (void)args, (void)kwargs;
    PyErr_SetString(PyExc_RuntimeError,
                    "ramet makes no tasks in an interpreter with a GIL of its own: call it from the main interpreter "
                    "(and a main program, which may be run again in another interpreter, below "
                    "if __name__ == \"__main__\")");
    return NULL;
}

static PyObject *look_up(PyObject *module, PyObject *name)
{
    if (PyUnicode_Check(name) && PyUnicode_GET_LENGTH(name) > 0 && PyUnicode_READ_CHAR(name, 0) != '_')
        return PyObject_GetAttrString(module, "_Absent");
    PyErr_SetObject(PyExc_AttributeError, name);
    return NULL;
}

static PyObject *nothing(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    Py_RETURN_NONE;
}

static PyMethodDef with_own_gil[] = {
    {"__getattr__", look_up, METH_O, NULL}, /* a class for all names: some are asked whether an object is theirs */
    {"before_fork", nothing, METH_NOARGS, NULL},
    {"close", nothing, METH_NOARGS, NULL},
    {"drain", nothing, METH_NOARGS, NULL},
    {"know_exit_status", nothing, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot absent_slots[] = {{Py_tp_new, (void *)refuse}, {0, NULL}};

static PyType_Spec absent = {
    .name = "ramet._core._Absent",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = absent_slots,
};

static int add_refusals(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &absent, NULL);
    int error = type == NULL ? -1 : PyModule_AddObjectRef(module, "_Absent", type);
    Py_XDECREF(type);
    return error < 0 ? -1 : PyModule_AddFunctions(module, with_own_gil);
}

#if PY_VERSION_HEX >= 0x030c0000

/* Python has no function that tells it; but it refuses such an interpreter a module that says that it needs the main one's GIL. */
static bool has_own_gil(PyObject *module)
{
    static PyModuleDef_Slot slots[] = {{Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED}, {0, NULL}};
    static PyModuleDef probe = {PyModuleDef_HEAD_INIT, .m_name = "ramet._core", .m_slots = slots};
    PyObject *spec = PyObject_GetAttrString(module, "__spec__");
    PyObject *admitted = spec == NULL ? NULL : PyModule_FromDefAndSpec(&probe, spec);
    bool refused = admitted == NULL && PyErr_ExceptionMatches(PyExc_ImportError);
    PyErr_Clear();
    Py_XDECREF(spec);
    Py_XDECREF(admitted);
    return refused;
}

#else

static bool has_own_gil(PyObject *module)
{
    (void)module;
    return false;
}

#endif

/* Of each interpreter's own: one with its own GIL has it, too. */
static int add_held(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &core_held_spec, NULL);
    int error = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return error;
}

static bool add_names(PyObject *module)
{
    struct core_state *state = PyModule_GetState(module);
    state->acquire = PyUnicode_InternFromString("acquire");
    state->release = PyUnicode_InternFromString("release");
    return state->acquire != NULL && state->release != NULL;
}

/* There is no m_clear: at the end of an interpreter locks are taken after the module has been cleared. */
static void end(void *module)
{
    struct core_state *state = PyModule_GetState(module);
    Py_CLEAR(state->acquire);
    Py_CLEAR(state->release);
}

static int fill(PyObject *module)
{
    if (!add_names(module) || PyModule_AddFunctions(module, everywhere) < 0 || add_held(module) < 0)
        return -1;
    if (has_own_gil(module))
        return add_refusals(module);
    if (!core_recovery_read_switch())
        return -1;
    core_hear_of_end();
    ramet_find_openmp();
    return core_add_types(module) < 0 ? -1 : PyModule_AddFunctions(module, with_main_gil);
}

/*
 * A free-threaded Python gets a GIL with this module, as every other has one. The thread that kills a child in shared
 * memory holds it, so that the child is not changing an object; and a child that dies with it
 * leaves it to its host thread. Without, a killed child could be anywhere, and every stop of the world would
 * wait for it in vain. clone_call.py refuses such children where the GIL is kept off all the same.
 */
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)fill},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ramet._core",
    .m_size = sizeof(struct core_state),
    .m_slots = slots,
    .m_free = end,
};

PyMODINIT_FUNC PyInit__core(void); /* the only name that the library exports */

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
