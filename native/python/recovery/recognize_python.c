/*
 * Whether CPython's structures are laid out as in the headers that this was compiled with. A bugfix release may move
 * them: so they are compared with what Python tells debuggers of itself, since 3.13, and with values that are known by other
 * means.
 */
#include "python_inside.h"
#include "python_internals.h"

#define MOVED "this Python's structures are not laid out as those that ramet was built for"

#if PY_VERSION_HEX >= 0x030d0000

#define TOLD(group, field) ((size_t)_PyRuntime.debug_offsets.group.field)
#define AS_TOLD(group, field, structure, member) (TOLD(group, field) == offsetof(structure, member))

#define TOLD_IN_GIL(field) (TOLD(interpreter_state, gil_runtime_state_##field) - TOLD(interpreter_state, gil_runtime_state))

static bool tells_offsets(void)
{
    return memcmp(_PyRuntime.debug_offsets.cookie, _Py_Debug_Cookie, sizeof _PyRuntime.debug_offsets.cookie) == 0 &&
           _PyRuntime.debug_offsets.version >> 16 == PY_VERSION_HEX >> 16;
}

static bool gil_is_as_told(void)
{
    return tells_offsets() && AS_TOLD(interpreter_state, ceval_gil, PyInterpreterState, ceval.gil) &&
           TOLD_IN_GIL(locked) == offsetof(struct _gil_runtime_state, locked) &&
           TOLD_IN_GIL(holder) == offsetof(struct _gil_runtime_state, last_holder) &&
           AS_TOLD(thread_state, thread_id, PyThreadState, thread_id) && AS_TOLD(thread_state, interp, PyThreadState, interp);
}

static bool frames_are_as_told(void)
{
    return tells_offsets() && AS_TOLD(thread_state, current_frame, PyThreadState, current_frame) &&
           AS_TOLD(interpreter_frame, previous, _PyInterpreterFrame, previous) &&
           AS_TOLD(interpreter_frame, executable, _PyInterpreterFrame, f_executable) &&
           AS_TOLD(interpreter_frame, instr_ptr, _PyInterpreterFrame, instr_ptr) &&
           AS_TOLD(interpreter_frame, localsplus, _PyInterpreterFrame, localsplus) &&
           AS_TOLD(interpreter_frame, owner, _PyInterpreterFrame, owner) &&
           AS_TOLD(code_object, co_code_adaptive, PyCodeObject, co_code_adaptive) &&
           AS_TOLD(bytes_object, ob_sval, PyBytesObject, ob_sval);
}

static bool collector_is_as_told(void)
{
    return tells_offsets() && AS_TOLD(interpreter_state, gc, PyInterpreterState, gc) &&
           AS_TOLD(gc, collecting, struct _gc_runtime_state, collecting);
}

static bool interpreters_are_as_told(void)
{
    return tells_offsets() && AS_TOLD(runtime_state, interpreters_head, _PyRuntimeState, interpreters.head) &&
           AS_TOLD(interpreter_state, next, PyInterpreterState, next) && AS_TOLD(interpreter_state, id, PyInterpreterState, id);
}

#else

static bool gil_is_as_told(void)
{
    return true;
}

#define frames_are_as_told gil_is_as_told
#define collector_is_as_told gil_is_as_told
#define interpreters_are_as_told gil_is_as_told

#endif

/* Its first frame is that of a function which calls this one in a `with` block of the sample, its first variable. */
PyObject *core_recognize(PyObject *module, PyObject *args)
{
    PyObject *sample, *collections;
    double switch_interval;
    int knows_files;
    (void)module;
    if (!PyArg_ParseTuple(args, "OdO!p:recognize", &sample, &switch_interval, &PyTuple_Type, &collections, &knows_files))
        return NULL;
    ramet_recognize_libc(core_recovery_switch());
    bool knows_frames = frames_are_as_told() && core_knows_frames(sample);
    bool knows_collector = collector_is_as_told() && core_knows_collector(collections);
    core_read_frames(knows_frames);
    core_set_part(CORE_GIL, gil_is_as_told() && core_knows_gil(switch_interval) ? NULL : MOVED);
    core_set_part(CORE_FRAMES, knows_frames ? NULL : MOVED);
    core_set_part(CORE_COLLECTOR, knows_collector ? NULL : MOVED);
    core_set_part(CORE_OBJECTS, knows_frames && knows_collector ? NULL : "the frames or the garbage collector are not known");
    core_set_part(CORE_FILES, knows_files ? NULL : "a buffered file does not show its owner");
    core_set_part(CORE_INTERPRETERS, interpreters_are_as_told() && core_knows_interpreters() ? NULL : MOVED);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}
