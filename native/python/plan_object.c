/* ramet._core.Plan: steps and all that they point to, laid out in one block. */
#include "plan_object.h"

#include "environment.h"

static const char *const step_names[] = {
#define RAMET_CALL(name, call) #name,
#define RAMET_STEP(name) #name,
#include "steps.def"
#undef RAMET_CALL
#undef RAMET_STEP
};

/*
 * The block is laid out twice: once to measure it (base NULL), once to write it. What has grown in
 * between, as a buffer that other code writes can, does not fit: nothing is written then.
 */
struct layout {
    char *base;
    size_t size; /* as measured */
    size_t used;
    struct ramet_environment environment;
};

static bool fits(const struct layout *layout, size_t length)
{
    return layout->used <= layout->size && length <= layout->size - layout->used;
}

static uintptr_t lay(struct layout *layout, const void *data, size_t length, size_t alignment)
{
    layout->used = (layout->used + alignment - 1) & ~(alignment - 1);
    char *place = layout->base == NULL || !fits(layout, length) ? NULL : layout->base + layout->used;
    if (place != NULL && data != NULL)
        memcpy(place, data, length);
    layout->used += length;
    return (uintptr_t)place;
}

static bool lay_string(struct layout *layout, PyObject *string, uintptr_t *address)
{
    char *text;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(string, &text, &length) < 0)
        return false;
    if (strlen(text) != (size_t)length) {
        PyErr_SetString(PyExc_ValueError, "embedded null byte");
        return false;
    }
    *address = lay(layout, text, (size_t)length + 1, 1);
    return true;
}

static bool lay_strings(struct layout *layout, PyObject *strings, uintptr_t *address)
{
    Py_ssize_t count = PyTuple_GET_SIZE(strings);
    *address = lay(layout, NULL, ((size_t)count + 1) * sizeof(uintptr_t), sizeof(uintptr_t));
    uintptr_t *array = (uintptr_t *)*address;
    for (Py_ssize_t i = 0; i < count; i++) {
        uintptr_t string;
        if (!lay_string(layout, PyTuple_GET_ITEM(strings, i), &string))
            return false;
        if (array != NULL)
            array[i] = string;
    }
    if (array != NULL)
        array[count] = 0;
    return true;
}

/* A structure or an array, as the kernel reads it. */
static bool lay_buffer(struct layout *layout, PyObject *object, uintptr_t *address)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(object, &buffer, PyBUF_SIMPLE) < 0)
        return false;
    *address = lay(layout, buffer.buf, (size_t)buffer.len, sizeof(uint64_t));
    PyBuffer_Release(&buffer);
    return true;
}

/* A number below zero is one of a call that takes such; all of 64 bits are allowed. */
static bool read_number(PyObject *object, uintptr_t *value)
{
    int overflow;
    *value = (uintptr_t)PyLong_AsLongAndOverflow(object, &overflow);
    if (overflow > 0)
        *value = PyLong_AsUnsignedLong(object);
    return !PyErr_Occurred();
}

/* The environment as it is now: a copy, since other threads may change it while the child reads. */
static bool lay_environment(struct layout *layout, uintptr_t *address)
{
    struct ramet_environment *environment = &layout->environment;
    if (!ramet_environment_take(environment)) {
        PyErr_NoMemory();
        return false;
    }
    *address = lay(layout, NULL, (environment->count + 1) * sizeof(uintptr_t), sizeof(uintptr_t));
    uintptr_t *array = (uintptr_t *)*address, string = lay(layout, environment->text, environment->length, 1);
    for (size_t i = 0; array != NULL && string != 0 && i < environment->count; i++) {
        array[i] = string;
        string += strlen((const char *)string) + 1;
    }
    if (array != NULL)
        array[environment->count] = 0;
    return true;
}

static bool lay_operand(struct layout *layout, PyObject *operand, uintptr_t *value)
{
    if (operand == Py_None)
        return lay_environment(layout, value);
    if (PyBytes_Check(operand))
        return lay_string(layout, operand, value);
    if (PyTuple_Check(operand))
        return lay_strings(layout, operand, value);
    if (PyList_Check(operand) && PyList_GET_SIZE(operand) == 1) /* bytes that are no string: those of a plain value */
        return lay_buffer(layout, PyList_GET_ITEM(operand, 0), value);
    if (PyObject_CheckBuffer(operand))
        return lay_buffer(layout, operand, value);
    return read_number(operand, value);
}

static bool find_operation(PyObject *name, enum ramet_operation *operation)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL)
        return false;
    for (int i = 0; i < RAMET_OPERATIONS; i++)
        if (strcmp(text, step_names[i]) == 0) {
            *operation = (enum ramet_operation)i;
            return true;
        }
    core_raise_invalid(PyExc_ValueError, "step", "a name of steps.def", name);
    return false;
}

static bool lay_step(struct layout *layout, PyObject *tuple, struct ramet_step *step)
{
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) < 1 || PyTuple_GET_SIZE(tuple) > 1 + RAMET_MOST_OPERANDS ||
        !PyUnicode_Check(PyTuple_GET_ITEM(tuple, 0))) {
        PyErr_Format(PyExc_TypeError, "invalid step: expected a tuple of a name and up to %d operands, got %R", RAMET_MOST_OPERANDS,
                     tuple);
        return false;
    }
    *step = (struct ramet_step){0};
    if (!find_operation(PyTuple_GET_ITEM(tuple, 0), &step->operation))
        return false;
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(tuple); i++)
        if (!lay_operand(layout, PyTuple_GET_ITEM(tuple, i), &step->operands[i - 1]))
            return false;
    return true;
}

/* After these the kernel may take the memory for one that only the privileged may look into. */
static bool changes_identity(enum ramet_operation operation)
{
    return operation == RAMET_SETUID || operation == RAMET_SETGID || operation == RAMET_SETNS ||
           operation == RAMET_CAPABILITIES;
}

static bool has_slot(enum ramet_operation operation)
{
    return operation == RAMET_SAVE || operation == RAMET_OPEN || operation == RAMET_FETCH || operation == RAMET_OPEN_TREE;
}

static bool lay_plan(struct layout *layout, PyObject *steps)
{
    size_t count = (size_t)PyTuple_GET_SIZE(steps), slots = 0;
    int gates = 0;
    bool minds_parent = false, fetches = false, enters = false, changes = false;
    layout->used = 0;
    struct ramet_plan *plan = (struct ramet_plan *)lay(layout, NULL, sizeof *plan, _Alignof(struct ramet_plan));
    struct ramet_step *array =
        (struct ramet_step *)lay(layout, NULL, count * sizeof *array, _Alignof(struct ramet_step));
    for (size_t i = 0; i < count; i++) {
        struct ramet_step step;
        if (!lay_step(layout, PyTuple_GET_ITEM(steps, (Py_ssize_t)i), &step))
            return false;
        slots += has_slot(step.operation);
        gates += step.operation == RAMET_GATE;
        minds_parent |= step.operation == RAMET_GATE || step.operation == RAMET_PARENT_DEATH;
        fetches |= step.operation == RAMET_FETCH;
        enters |= step.operation == RAMET_PID_NAMESPACE;
        changes |= changes_identity(step.operation);
        if (layout->base != NULL)
            array[i] = step;
    }
    if (layout->base != NULL)
        *plan = (struct ramet_plan){.holders = 1,
                                    .count = count,
                                    .slots = slots,
                                    .gates = gates,
                                    .minds_parent = minds_parent,
                                    .fetches = fetches,
                                    .enters = enters,
                                    .changes_identity = changes,
                                    .steps = array};
    return true;
}

/* The plan as a block from malloc; NULL with an exception set. */
static char *laid_out(struct layout *layout, PyObject *steps)
{
    if (!lay_plan(layout, steps))
        return NULL;
    layout->size = layout->used;
    layout->base = malloc(layout->size);
    if (layout->base == NULL)
        PyErr_NoMemory();
    else if (lay_plan(layout, steps) && layout->used > layout->size)
        PyErr_SetString(PyExc_ValueError, "invalid plan: expected buffers of one size, got one that has grown while it was read; change none meanwhile");
    if (!PyErr_Occurred())
        return layout->base;
    free(layout->base);
    return NULL;
}

PyObject *core_plan_of(PyObject *steps)
{
    struct layout layout = {0};
    char *block = laid_out(&layout, steps);
    ramet_environment_release(&layout.environment);
    if (block == NULL)
        return NULL;
    PlanObject *self = (PlanObject *)Plan_Type.tp_alloc(&Plan_Type, 0);
    if (self == NULL)
        free(block);
    else
        self->plan = (struct ramet_plan *)block;
    return (PyObject *)self;
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"steps", NULL};
    PyObject *steps;
    (void)type; /* it has no subclass */
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!:Plan", names, &PyList_Type, &steps))
        return NULL;
    PyObject *fixed = PyList_AsTuple(steps);
    PyObject *plan = fixed == NULL ? NULL : core_plan_of(fixed);
    Py_XDECREF(fixed);
    return plan;
}

PyObject *core_failure(const struct ramet_report *report)
{
    if (report->failed_step == -1)
        Py_RETURN_NONE;
    return Py_BuildValue("ii", report->failed_step, report->error);
}

static void plan_dealloc(PlanObject *self)
{
    if (self->plan != NULL)
        ramet_plan_release(self->plan);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *plan_changes_identity(PlanObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->plan->changes_identity);
}

static PyGetSetDef plan_properties[] = {
    {"changes_identity", (getter)plan_changes_identity, NULL, "Whether it gives a child other rights.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject Plan_Type = {
    CORE_TYPE("Plan", PlanObject, 0),
    .tp_doc = "Plan(steps)\n--\n\nWhat a child does before its program: a list of tuples, a name of steps.def and its operands.",
    .tp_getset = plan_properties,
    .tp_new = plan_new,
    .tp_dealloc = (destructor)plan_dealloc,
};
