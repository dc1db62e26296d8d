/*
 * The compiler sees to it that the depth at an instruction is the same on every way to it, and Python tells what
 * each instruction adds. So all ways are gone: from the beginning, and from each handler of exceptions, whose
 * depth is in its table. Where two of them differ, this is another Python than it takes it for, and nothing is said.
 */
#include "python_inside.h"

#include <opcode.h>
#include <stdlib.h>

#define MOST_PASSES 50
#define UNKNOWN (-1)

struct walk {
    const unsigned char *bytes; /* two for each code unit */
    Py_ssize_t count;
    int most;
    int *depths; /* before each instruction */
    bool changed, failed;
};

/* ---- instructions */

enum way { ON, AWAY, FORWARD, BACKWARD, ONLY_FORWARD, ONLY_BACKWARD };

static enum way way_of(int opcode)
{
    switch (opcode) {
    case RETURN_VALUE:
    case RAISE_VARARGS:
    case RERAISE:
#ifdef RETURN_CONST
    case RETURN_CONST:
#endif
#ifdef INTERPRETER_EXIT
    case INTERPRETER_EXIT:
#endif
        return AWAY;
    case JUMP_FORWARD:
        return ONLY_FORWARD;
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
        return ONLY_BACKWARD;
    case FOR_ITER:
    case SEND:
#if PY_VERSION_HEX < 0x030c0000
    case JUMP_IF_FALSE_OR_POP:
    case JUMP_IF_TRUE_OR_POP:
    case POP_JUMP_FORWARD_IF_FALSE:
    case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_FORWARD_IF_NONE:
    case POP_JUMP_FORWARD_IF_NOT_NONE:
        return FORWARD;
    case POP_JUMP_BACKWARD_IF_FALSE:
    case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_NONE:
    case POP_JUMP_BACKWARD_IF_NOT_NONE:
        return BACKWARD;
#else
    case POP_JUMP_IF_FALSE:
    case POP_JUMP_IF_TRUE:
    case POP_JUMP_IF_NONE:
    case POP_JUMP_IF_NOT_NONE:
        return FORWARD;
#endif
    default:
        return ON;
    }
}

/* How many entries it takes, with what it may have let go of before it is over; -1 for one that is not known. */
static int taken_by(int opcode, int argument)
{
    switch (opcode) {
    case RESUME:
    case JUMP_BACKWARD:
    case LOAD_GLOBAL:
    case LOAD_NAME:
        return 0;
#if PY_VERSION_HEX < 0x030c0000
    case PRECALL:
        return argument + 2;
    case CALL:
        return 2; /* its arguments are PRECALL's, as Python counts */
    case LOAD_METHOD:
        return 1;
#else
    case CALL:
        return argument + 2;
#endif
#if PY_VERSION_HEX < 0x030e0000
    case BEFORE_WITH:
        return 1;
#endif
#ifdef CALL_KW
    case CALL_KW:
        return argument + 3;
#endif
    case CALL_FUNCTION_EX:
        return 4;
    case LOAD_ATTR:
    case GET_ITER:
    case POP_TOP:
    case STORE_FAST:
    case LIST_EXTEND:
    case UNPACK_SEQUENCE:
        return 1;
    case FOR_ITER: /* with what it counts by, since 3.15 */
    case SEND:
#ifdef BINARY_SUBSCR
    case BINARY_SUBSCR:
#endif
    case DELETE_SUBSCR:
    case STORE_ATTR:
    case BINARY_OP:
    case COMPARE_OP:
    case CONTAINS_OP:
    case IMPORT_NAME:
        return 2;
    case STORE_SUBSCR:
        return 3;
    default:
        return -1;
    }
}

/* ---- the ways */

static void come_to(struct walk *walk, Py_ssize_t at, int depth)
{
    if (at < 0 || at >= walk->count || depth < 0 || depth > walk->most ||
        (walk->depths[at] != UNKNOWN && walk->depths[at] != depth)) {
        walk->failed = true;
        return;
    }
    walk->changed |= walk->depths[at] == UNKNOWN;
    walk->depths[at] = depth;
}

/* 3.11 does not count what a generator is sent at its start. */
static int effect_of(int opcode, int argument, int jump)
{
    if (opcode == RETURN_GENERATOR)
        return 1;
    return PyCompile_OpcodeStackEffectWithJump(opcode, argument, jump);
}

static void go_from(struct walk *walk, Py_ssize_t at, Py_ssize_t next, int argument)
{
    int opcode = walk->bytes[2 * at], depth = walk->depths[at];
    enum way way = way_of(opcode);
    if (way == ON || way == FORWARD || way == BACKWARD)
        come_to(walk, next, depth + effect_of(opcode, argument, 0));
    if (way == FORWARD || way == ONLY_FORWARD)
        come_to(walk, next + argument, depth + effect_of(opcode, argument, 1));
    if (way == BACKWARD || way == ONLY_BACKWARD)
        come_to(walk, next - argument, depth + effect_of(opcode, argument, 1));
}

static Py_ssize_t behind_caches(const struct walk *walk, Py_ssize_t at)
{
    do
        at++;
    while (at < walk->count && walk->bytes[2 * at] == CACHE);
    return at;
}

/* Prefixes have the depth of the instruction that they belong to. */
static void pass(struct walk *walk)
{
    int argument = 0;
    for (Py_ssize_t at = 0, next; at < walk->count && !walk->failed; at = next) {
        argument = argument << 8 | walk->bytes[2 * at + 1];
        next = behind_caches(walk, at);
        if (walk->bytes[2 * at] == EXTENDED_ARG) {
            if (walk->depths[at] != UNKNOWN)
                come_to(walk, next, walk->depths[at]);
            continue;
        }
        if (walk->depths[at] != UNKNOWN)
            go_from(walk, at, next, argument);
        argument = 0;
    }
}

/* ---- InternalDocs/exception_handling.md has the table */

static void begin_at_handlers(struct walk *walk, PyObject *table)
{
    const unsigned char *entry = (const unsigned char *)PyBytes_AS_STRING(table), *end = entry + PyBytes_GET_SIZE(table);
    while (entry < end) {
        core_read_varint(&entry, end);
        core_read_varint(&entry, end);
        unsigned int handler = core_read_varint(&entry, end), depth = core_read_varint(&entry, end);
        come_to(walk, handler, (int)(depth >> 1) + (int)(depth & 1) + 1); /* where it was, if it says so; the exception */
    }
}

/* ---- what it comes to */

static int argument_of(const struct walk *walk, Py_ssize_t at)
{
    int argument = walk->bytes[2 * at + 1];
    for (int shift = 8; at-- > 0 && walk->bytes[2 * at] == EXTENDED_ARG && shift < 32; shift += 8)
        argument |= walk->bytes[2 * at + 1] << shift;
    return argument;
}

static int find_depth(struct walk *walk, PyCodeObject *code, Py_ssize_t instruction)
{
    for (Py_ssize_t i = 0; i < walk->count; i++)
        walk->depths[i] = UNKNOWN;
    come_to(walk, 0, 0);
    begin_at_handlers(walk, code->co_exceptiontable);
    for (int i = 0; walk->changed && !walk->failed && i < MOST_PASSES; i++) {
        walk->changed = false;
        pass(walk);
    }
    int depth = walk->depths[instruction];
    int taken = taken_by(walk->bytes[2 * instruction], argument_of(walk, instruction));
    return walk->failed || walk->changed || depth == UNKNOWN || taken < 0 || taken > depth ? -1 : depth - taken;
}

int core_stack_depth(PyCodeObject *code, Py_ssize_t instruction)
{
    PyObject *bytes = PyCode_GetCode(code);
    if (bytes == NULL) {
        PyErr_Clear();
        return -1;
    }
    struct walk walk = {
        .bytes = (const unsigned char *)PyBytes_AS_STRING(bytes),
        .count = PyBytes_GET_SIZE(bytes) / 2,
        .most = code->co_stacksize,
    };
    walk.depths = malloc((size_t)(walk.count + 1) * sizeof *walk.depths);
    int depth = walk.depths == NULL || instruction < 0 || instruction >= walk.count ? -1 : find_depth(&walk, code, instruction);
    free(walk.depths);
    Py_DECREF(bytes);
    return depth;
}
