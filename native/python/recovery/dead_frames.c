/*
 * How CPython lays out frames is known from its own headers, of the version that this is compiled for.
 * A child that was killed from outside may have been changing anything: so nothing is believed,
 * and whatever is read is read by the kernel, which says so where there is nothing.
 */
#define _GNU_SOURCE
#include "python_inside.h"
#include "python_internals.h"

#define MOST_FRAMES 20000
#define MOST_VARIABLES 4096
#define MOST_NOTED_OF_ONE 64
#define PIECE 64
#define TABLE_BYTES 2048
#define TAGS ((uintptr_t)3)

typedef struct _PyInterpreterFrame Frame;

/* ---- what differs between versions */

#if PY_VERSION_HEX >= 0x030e0000
#define CODE_OF(frame) ((frame)->f_executable.bits & ~TAGS)
#define CODE_SLOT_OF(frame) ((frame)->f_executable.bits)
#define FUNCTION_SLOT_OF(frame) ((frame)->f_funcobj.bits)
#define INSTRUCTION_OF(frame) ((uintptr_t)(frame)->instr_ptr)
#define IS_NO_FUNCTION(frame) ((frame)->owner >= FRAME_OWNED_BY_INTERPRETER)
#elif PY_VERSION_HEX >= 0x030d0000
#define CODE_OF(frame) ((uintptr_t)(frame)->f_executable)
#define CODE_SLOT_OF(frame) CODE_OF(frame)
#define FUNCTION_SLOT_OF(frame) ((uintptr_t)(frame)->f_funcobj)
#define INSTRUCTION_OF(frame) ((uintptr_t)(frame)->instr_ptr)
#define IS_NO_FUNCTION(frame) ((frame)->owner == FRAME_OWNED_BY_CSTACK)
#elif PY_VERSION_HEX >= 0x030c0000
#define CODE_OF(frame) ((uintptr_t)(frame)->f_code)
#define CODE_SLOT_OF(frame) CODE_OF(frame)
#define FUNCTION_SLOT_OF(frame) ((uintptr_t)(frame)->f_funcobj)
#define INSTRUCTION_OF(frame) ((uintptr_t)(frame)->prev_instr)
#define IS_NO_FUNCTION(frame) ((frame)->owner == FRAME_OWNED_BY_CSTACK)
#else
#define CODE_OF(frame) ((uintptr_t)(frame)->f_code)
#define CODE_SLOT_OF(frame) CODE_OF(frame)
#define FUNCTION_SLOT_OF(frame) ((uintptr_t)(frame)->f_func)
#define INSTRUCTION_OF(frame) ((uintptr_t)(frame)->prev_instr)
#define IS_NO_FUNCTION(frame) false
#endif

static bool copy(void *to, uintptr_t from, size_t size)
{
    return ramet_read_memory(to, from, size) == size;
}

static uintptr_t newest_frame(const PyThreadState *dead)
{
#if PY_VERSION_HEX >= 0x030d0000
    return (uintptr_t)dead->current_frame;
#else
    _PyCFrame newest; /* on the dead task's stack */
    return copy(&newest, (uintptr_t)dead->cframe, sizeof newest) ? (uintptr_t)newest.current_frame : 0;
#endif
}

/* Since 3.14 the lowest bits say how a reference is held; all of them set, that it is a number. */
static uintptr_t object_in(uintptr_t slot)
{
#if PY_VERSION_HEX >= 0x030e0000
    return (slot & TAGS) == TAGS ? 0 : slot & ~TAGS;
#else
    return slot;
#endif
}

#if PY_VERSION_HEX >= 0x030e0000
#define EMPTY_SLOT 1 /* PyStackRef_NULL */
#define BORROWED 1
#else
#define EMPTY_SLOT 0
#endif

/* Since 3.14 a slot may only borrow what another owns, or say that it is never freed; both by a tag. */
static PyObject *owned_in(uintptr_t slot)
{
#if PY_VERSION_HEX >= 0x030e0000
    return (slot & TAGS) != 0 ? NULL : (PyObject *)slot;
#else
    return (PyObject *)slot;
#endif
}

/* ---- blocks */

/*
 * How much of the stack a handler of exceptions would find there, were one raised now: that much is in
 * use for certain, and `with` keeps in it what is to be called at the end of its block.
 * InternalDocs/exception_handling.md has the table.
 */
static unsigned int depth_of_blocks(const PyCodeObject *code, unsigned int at)
{
    PyVarObject head;
    unsigned char table[TABLE_BYTES];
    uintptr_t bytes = (uintptr_t)code->co_exceptiontable;
    if (!copy(&head, bytes, sizeof head) || head.ob_size <= 0 || head.ob_size > TABLE_BYTES ||
        !copy(table, bytes + offsetof(PyBytesObject, ob_sval), (size_t)head.ob_size))
        return 0;
    const unsigned char *entry = table, *end = table + head.ob_size;
    while (entry < end) {
        unsigned int start = core_read_varint(&entry, end), length = core_read_varint(&entry, end);
        core_read_varint(&entry, end); /* where the handler is */
        unsigned int depth = core_read_varint(&entry, end) >> 1;
        if (at >= start && at < start + length)
            return depth;
    }
    return 0;
}

/* ---- frames */

struct piece {
    uintptr_t first; /* where the slots are */
    int count;
};

/* A reference that was given up within an operation points to what is no object any more. */
static bool is_object(uintptr_t object)
{
    PyObject head;
    return copy(&head, object, sizeof head) && Py_REFCNT(&head) > 0 && head.ob_type != NULL;
}

static void note_slots(struct core_dead_frames *found, const struct piece *piece)
{
    uintptr_t slots[MOST_NOTED_OF_ONE];
    uintptr_t *count = &found->words[found->noted++];
    int wanted = piece->count < MOST_NOTED_OF_ONE ? piece->count : MOST_NOTED_OF_ONE;
    *count = 0;
    if (wanted <= 0 || !copy(slots, piece->first, (size_t)wanted * sizeof *slots))
        return;
    for (int i = 0; i < wanted; i++) {
        uintptr_t object = object_in(slots[i]);
        found->words[found->noted++] = object != 0 && is_object(object) ? object : 0;
    }
    *count = (uintptr_t)wanted;
}

static void note(struct core_dead_frames *found, uintptr_t code, const struct piece *variables, const struct piece *blocks)
{
    if (found->noted + 3 + 2 * MOST_NOTED_OF_ONE > CORE_MOST_NOTED)
        return;
    found->words[found->noted++] = code;
    note_slots(found, variables);
    note_slots(found, blocks);
}

static long references_in(const struct piece *piece)
{
    uintptr_t slots[PIECE];
    long references = 0;
    for (int at = 0; at < piece->count; at += PIECE) {
        int count = piece->count - at < PIECE ? piece->count - at : PIECE;
        if (!copy(slots, piece->first + (uintptr_t)at * sizeof *slots, (size_t)count * sizeof *slots))
            break;
        for (int i = 0; i < count; i++)
            references += object_in(slots[i]) != 0;
    }
    return references;
}

#ifndef Py_GIL_DISABLED
static unsigned int blocks_of(const Frame *frame, const PyCodeObject *code, uintptr_t first)
{
    if (INSTRUCTION_OF(frame) < first)
        return 0;
    unsigned int depth = depth_of_blocks(code, (unsigned int)((INSTRUCTION_OF(frame) - first) / sizeof(_Py_CODEUNIT)));
    return depth > (unsigned int)code->co_stacksize ? 0 : depth;
}
#else
/* It has instructions for each thread. */
static unsigned int blocks_of(const Frame *frame, const PyCodeObject *code, uintptr_t first)
{
    (void)frame, (void)code, (void)first;
    return 0;
}
#endif

/*
 * How many slots are in use: noted while a frame waits for a Python function that it called. Else so much of
 * the stack is certain; what lies above may have been given to what it called.
 */
static int noted_slots(const Frame *frame, const PyCodeObject *code)
{
#if PY_VERSION_HEX < 0x030e0000
    if (frame->stacktop >= code->co_nlocalsplus && frame->stacktop <= code->co_nlocalsplus + code->co_stacksize)
        return frame->stacktop;
#endif
    (void)frame, (void)code;
    return -1;
}

/* Whether it is one. */
static bool look_at(struct core_dead_frames *found, uintptr_t address, const Frame *frame)
{
    PyCodeObject code;
    uintptr_t at = CODE_OF(frame), first = at + offsetof(PyCodeObject, co_code_adaptive);
    if (!copy(&code, at, sizeof code) || Py_TYPE(&code) != &PyCode_Type || code.co_nlocalsplus < 0 ||
        code.co_nlocalsplus > MOST_VARIABLES)
        return false;
    uintptr_t slots = address + offsetof(Frame, localsplus);
    unsigned int depth = blocks_of(frame, &code, first);
    const struct piece variables = {slots, code.co_nlocalsplus};
    const struct piece blocks = {slots + (uintptr_t)code.co_nlocalsplus * sizeof(uintptr_t), (int)depth};
    int noted = noted_slots(frame, &code);
    const struct piece in_use = {slots, noted >= 0 ? noted : code.co_nlocalsplus + (int)depth};
    found->frames++;
    found->references += references_in(&in_use);
    found->has_objects |= frame->frame_obj != NULL;
    note(found, at, &variables, &blocks);
    return true;
}

static bool can_be_read;

void core_read_frames(bool may_be_read)
{
    can_be_read = may_be_read;
}

void core_look_at_frames(const PyThreadState *dead, struct core_dead_frames *found)
{
    Frame frame, *last = NULL;
    const bool links = core_is_on(CORE_FRAMES);
    uintptr_t next;
    found->newest = 0;
    found->frames = found->references = can_be_read ? 0 : -1;
    found->noted = 0;
    found->has_objects = !links; /* they may have */
    found->ident = dead->thread_id;
    if (!can_be_read)
        return;
    for (uintptr_t address = newest_frame(dead); address != 0 && found->frames < MOST_FRAMES; address = next) {
        if (!copy(&frame, address, offsetof(Frame, localsplus)))
            break;
        next = (uintptr_t)frame.previous;
        if (IS_NO_FUNCTION(&frame))
            continue;
        if (!look_at(found, address, &frame))
            break;
        if (last != NULL && links)
            last->previous = (Frame *)address;
        else if (last == NULL)
            found->newest = address;
        last = (Frame *)address;
    }
    if (last != NULL && links)
        last->previous = NULL;
}

/* ---- with the GIL: what they own */

static Frame *next_of(const struct core_dead_frames *found, const Frame *frame, long *seen)
{
    Frame *next = frame == NULL ? (Frame *)found->newest : frame->previous;
    return next == NULL || (*seen)++ == found->frames ? NULL : next;
}

/* What Python pushes for itself has no function, and a code that is not to be asked. */
static int certain_depth(const Frame *frame, PyCodeObject *code)
{
    PyObject *function = (PyObject *)object_in(FUNCTION_SLOT_OF(frame));
    uintptr_t first = (uintptr_t)code + offsetof(PyCodeObject, co_code_adaptive), at = INSTRUCTION_OF(frame);
    int blocks = (int)blocks_of(frame, code, first);
    if (function == NULL || !PyFunction_Check(function) || at < first)
        return blocks;
    int depth = core_stack_depth(code, (Py_ssize_t)((at - first) / sizeof(_Py_CODEUNIT)));
    return depth > blocks ? depth : blocks;
}

/* A slot owns what it points to: code that changes one puts the new object in its place before it lets go of the old. */
static int count_of_slots(const Frame *frame)
{
    PyCodeObject *code = (PyCodeObject *)CODE_OF(frame);
    int noted = noted_slots(frame, code);
    return noted >= 0 ? noted : code->co_nlocalsplus + certain_depth(frame, code);
}

/* ---- with the GIL: those that are objects as well */

bool core_is_whole_frame(PyObject *object)
{
    return Py_IS_TYPE(object, &PyFrame_Type) && ((PyFrameObject *)object)->f_frame->owner == FRAME_OWNED_BY_FRAME_OBJECT;
}

/* One leads to those that called it: so these are made objects, too. */
static bool make_objects(const struct core_dead_frames *found)
{
    long seen = 0;
    Frame *frame = NULL;
    while ((frame = next_of(found, frame, &seen)) != NULL && frame->frame_obj == NULL)
        ;
    PyFrameObject *object = frame == NULL ? NULL : (PyFrameObject *)Py_NewRef((PyObject *)frame->frame_obj);
    while (object != NULL) {
        PyFrameObject *back = PyFrame_GetBack(object);
        Py_DECREF(object);
        object = back;
    }
    return PyErr_Occurred() == NULL;
}

#if PY_VERSION_HEX >= 0x030e0000
/* What is borrowed from a frame that called this one may not be there as long as its object. */
static void own(uintptr_t *slot)
{
    PyObject *object = (PyObject *)object_in(*slot);
    if ((*slot & TAGS) == BORROWED && object != NULL && !_Py_IsImmortal(object))
        *slot = (uintptr_t)Py_NewRef(object);
}

static void own_all(Frame *frame, int count)
{
    own(&frame->f_executable.bits);
    own(&frame->f_funcobj.bits);
    for (int i = 0; i < count; i++)
        own(&frame->localsplus[i].bits);
    frame->stackpointer = frame->localsplus + count;
}
#else
static void own_all(Frame *frame, int count)
{
    frame->stacktop = count;
}
#endif

/* As take_ownership() in Python/frame.c does it at a return. */
static void move_into_object(Frame *frame)
{
    PyFrameObject *object = frame->frame_obj;
    Frame *own = (Frame *)object->_f_frame_data;
    int count = count_of_slots(frame);
    memcpy(own, frame, offsetof(Frame, localsplus) + (size_t)count * sizeof own->localsplus[0]);
    own->owner = FRAME_OWNED_BY_FRAME_OBJECT;
    own->frame_obj = NULL;
    own->previous = NULL;
    own_all(own, count);
    object->f_frame = own;
    if (!PyObject_GC_IsTracked((PyObject *)object))
        PyObject_GC_Track(object);
}

static void link_back(const Frame *frame)
{
    const Frame *back = frame->previous;
    while (back != NULL && back->frame_obj == NULL)
        back = back->previous;
    if (frame->frame_obj->f_back == NULL && back != NULL)
        frame->frame_obj->f_back = (PyFrameObject *)Py_NewRef((PyObject *)back->frame_obj);
}

bool core_move_frames_to_heap(struct core_dead_frames *found)
{
    int was_enabled = PyGC_Disable(); /* nothing may run in between */
    bool made = make_objects(found);
    if (was_enabled)
        PyGC_Enable();
    long seen = 0;
    for (Frame *frame = NULL; made && (frame = next_of(found, frame, &seen)) != NULL;) {
        if (frame->frame_obj == NULL)
            continue;
        link_back(frame);
        if (frame->owner == FRAME_OWNED_BY_THREAD)
            move_into_object(frame);
    }
    found->has_objects &= !made;
    PyErr_Clear();
    return made;
}

/* Before what was the dead task's is freed: a generator in which it died does not lead there any more. */
static void cut_generators(const struct core_dead_frames *found)
{
    long seen = 0;
    for (Frame *frame = NULL, *next = next_of(found, NULL, &seen); (frame = next) != NULL;) {
        next = next_of(found, frame, &seen);
        if (frame->owner == FRAME_OWNED_BY_GENERATOR)
            frame->previous = NULL;
    }
}

void core_cut_off_dead_frames(PyThreadState *dead, struct core_dead_frames *found)
{
    found->collecting = core_leave_collector(&found->stack);
    if (found->has_objects)
        dead->datastack_chunk = NULL; /* it stays, for a thread that holds one of these frames */
    else
        cut_generators(found);
}

/* ---- with the GIL: what they hold */

static bool add_owned(struct core_objects *owned, uintptr_t slot)
{
    PyObject *object = owned_in(slot);
    return object == NULL || core_objects_add(owned, object);
}

/* What a generator is made of stays with it, and what an object shows. */
static bool add_of_frame(struct core_objects *owned, const Frame *frame)
{
    bool is_own = frame->owner == FRAME_OWNED_BY_THREAD;
    if (frame->frame_obj != NULL)
        return !is_own || core_objects_add(owned, (PyObject *)frame->frame_obj);
    const uintptr_t *slots = (const uintptr_t *)frame->localsplus;
    for (int i = 0, count = count_of_slots(frame); i < count; i++)
        if (!add_owned(owned, slots[i]))
            return false;
    return !is_own || (add_owned(owned, FUNCTION_SLOT_OF(frame)) && add_owned(owned, CODE_SLOT_OF(frame)) &&
                       add_owned(owned, (uintptr_t)frame->f_locals));
}

bool core_owned_by_frames(const struct core_dead_frames *found, struct core_objects *owned)
{
    long seen = 0;
    for (const Frame *frame = NULL; (frame = next_of(found, frame, &seen)) != NULL;)
        if (!add_of_frame(owned, frame))
            return false;
    return true;
}

static long empty(Frame *frame)
{
    uintptr_t *slots = (uintptr_t *)frame->localsplus;
    long references = 0;
    if (frame->frame_obj != NULL && frame->owner != FRAME_OWNED_BY_THREAD)
        return 0;
    for (int i = 0, count = count_of_slots(frame); i < count; i++) {
        references += object_in(slots[i]) != 0;
        if (owned_in(slots[i]) != NULL)
            slots[i] = EMPTY_SLOT;
    }
    return references;
}

long core_empty_frames(const struct core_dead_frames *found)
{
    long seen = 0, references = 0;
    for (Frame *frame = NULL; (frame = next_of(found, frame, &seen)) != NULL;)
        references += empty(frame);
    return references;
}

/* ---- with the GIL: whether they are where they are looked for */

static uintptr_t first_function(uintptr_t address, Frame *frame)
{
    while (address != 0 && copy(frame, address, offsetof(Frame, localsplus)) && IS_NO_FUNCTION(frame))
        address = (uintptr_t)frame->previous;
    return address;
}

static bool is_of(const Frame *frame, PyFrameObject *object)
{
    PyCodeObject *code = object == NULL ? NULL : PyFrame_GetCode(object);
    Py_XDECREF(code);
    return code != NULL && CODE_OF(frame) == (uintptr_t)code;
}

static bool has_caller(const Frame *frame, PyFrameObject *object)
{
    Frame caller;
    PyFrameObject *back = PyFrame_GetBack(object);
    bool has = back == NULL ||
               (first_function((uintptr_t)frame->previous, &caller) == (uintptr_t)back->f_frame && is_of(&caller, back));
    Py_XDECREF(back);
    return has;
}

/* A `with` block keeps a method of the sample; since 3.14 a function, and the sample. */
static bool keeps(const Frame *frame, int depth, PyObject *sample)
{
    const uintptr_t *kept = (const uintptr_t *)frame->localsplus + ((PyCodeObject *)CODE_OF(frame))->co_nlocalsplus;
    for (int i = 0; i < depth; i++) {
        PyObject *entry = (PyObject *)object_in(kept[i]);
        if (entry == sample || (entry != NULL && PyMethod_Check(entry) && PyMethod_GET_SELF(entry) == sample))
            return true;
    }
    return false;
}

static bool is_at(const Frame *frame, PyFrameObject *object)
{
    uintptr_t first = CODE_OF(frame) + offsetof(PyCodeObject, co_code_adaptive);
    PyObject *at = PyObject_GetAttrString((PyObject *)object, "f_lasti");
    long offset = at == NULL ? -1 : PyLong_AsLong(at);
    Py_XDECREF(at);
    return INSTRUCTION_OF(frame) - first == (uintptr_t)offset;
}

static bool has_block(const Frame *frame, PyObject *sample)
{
#ifndef Py_GIL_DISABLED
    PyCodeObject *code = (PyCodeObject *)CODE_OF(frame);
    int depth = (int)blocks_of(frame, code, (uintptr_t)code + offsetof(PyCodeObject, co_code_adaptive));
    return depth > 0 && is_at(frame, frame->frame_obj) && keeps(frame, depth, sample) && certain_depth(frame, code) == depth;
#else
    (void)keeps, (void)is_at, (void)sample;
    return frame != NULL;
#endif
}

static bool has_function(const Frame *frame)
{
    PyObject *function = (PyObject *)object_in(FUNCTION_SLOT_OF(frame));
    return is_object((uintptr_t)function) && PyFunction_Check(function) &&
           PyFunction_GET_CODE(function) == (PyObject *)CODE_OF(frame);
}

static bool has_variable(uintptr_t frame, PyObject *sample)
{
    uintptr_t first;
    return copy(&first, frame + offsetof(Frame, localsplus), sizeof first) && object_in(first) == (uintptr_t)sample;
}

static bool is_on_data_stack(const PyThreadState *state, uintptr_t frame)
{
    return frame > (uintptr_t)state->datastack_chunk && frame < (uintptr_t)state->datastack_limit;
}

bool core_knows_frames(PyObject *sample)
{
    Frame frame;
    PyThreadState *state = PyThreadState_Get();
    PyFrameObject *object = PyThreadState_GetFrame(state);
    uintptr_t address = object == NULL ? 0 : first_function(newest_frame(state), &frame);
    bool known = address != 0 && object->f_frame == (Frame *)address && frame.frame_obj == object && is_of(&frame, object) &&
                 frame.owner == FRAME_OWNED_BY_THREAD && has_variable(address, sample) && has_function(&frame) &&
                 has_caller(&frame, object) && has_block((Frame *)address, sample) && is_on_data_stack(state, address);
    Py_XDECREF(object);
    PyErr_Clear();
    return known;
}

/* ---- with the GIL: what is noted of them */

static PyObject *tuple_of(const struct core_dead_frames *found, int *at)
{
    Py_ssize_t count = (Py_ssize_t)found->words[(*at)++];
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; i < count; i++) {
        uintptr_t object = found->words[(*at)++];
        if (tuple != NULL)
            PyTuple_SET_ITEM(tuple, i, Py_NewRef(object == 0 ? Py_None : (PyObject *)object));
    }
    return tuple;
}

PyObject *core_noted_frames(const struct core_dead_frames *found)
{
    PyObject *frames = PyList_New(0);
    for (int at = 0; frames != NULL && at < found->noted;) {
        PyObject *code = Py_NewRef((PyObject *)found->words[at++]);
        PyObject *variables = tuple_of(found, &at), *entries = tuple_of(found, &at);
        PyObject *frame = variables == NULL || entries == NULL ? NULL : PyTuple_Pack(3, code, variables, entries);
        if (frame == NULL || PyList_Append(frames, frame) < 0)
            Py_CLEAR(frames);
        Py_XDECREF(frame);
        Py_XDECREF(entries);
        Py_XDECREF(variables);
        Py_DECREF(code);
    }
    return frames;
}
