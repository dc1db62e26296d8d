/*
 * What it takes to read a JSON text, found in one pass over it before anything is made: json's own reader knows no
 * limits. Up to where that reader finds a mistake both see the same text, and there it stops.
 */
#include "core.h"

#define MOST_LEVELS 256

/*
 * Bytes at most, in CPython 3.11 to 3.15: an object with its header of the collector, and what it has grown by. A place
 * in a list has room for some more behind it, and lies twice in memory while the list grows.
 */
enum {
    OF_LIST = 112,
    OF_OBJECT = 352, /* the dict, and what its hook makes of it */
    OF_PLACE = 20,
    OF_MEMBER = 64,
    OF_TEXT = 88,
    OF_WORD = 44, /* a number, or a name such as null */
    OF_LETTER = 1,
    OF_WIDE_LETTER = 4, /* of a text that has one letter beyond 16 bits */
};

struct needs {
    size_t levels, members, digits, bytes;
};

struct text {
    const unsigned char *next, *end;
};

/* What its letters take. The text begins behind its quote. */
static size_t skip_text(struct text *text)
{
    const unsigned char *start = text->next;
    bool may_be_wide = false;
    while (text->next < text->end && *text->next != '"') {
        may_be_wide |= *text->next >= 0x80 || *text->next == '\\';
        text->next += *text->next == '\\' && text->next + 1 < text->end ? 2 : 1;
    }
    size_t letters = (size_t)(text->next - start);
    text->next += text->next < text->end;
    return letters * (may_be_wide ? OF_WIDE_LETTER : OF_LETTER);
}

static size_t of_all_letters(const unsigned char *next, const unsigned char *end)
{
    size_t letters = (size_t)(end - next);
    while (next < end && *next < 0x80)
        next++;
    return letters * (1 + (next < end ? OF_WIDE_LETTER : OF_LETTER)); /* as bytes, and as text */
}

static bool is_of_word(unsigned char letter)
{
    return (letter >= '0' && letter <= '9') || ((letter | 0x20) >= 'a' && (letter | 0x20) <= 'z') || letter == '-' ||
           letter == '+' || letter == '.';
}

static size_t skip_word(struct text *text)
{
    const unsigned char *start = text->next;
    while (text->next < text->end && is_of_word(*text->next))
        text->next++;
    return (size_t)(text->next - start);
}

static void greater(size_t *most, size_t value)
{
    *most = value > *most ? value : *most;
}

/* False at a level that is too deep. */
static bool read_on(struct text *text, struct needs *needs, size_t *members, size_t *level)
{
    size_t letters;
    switch (*text->next) {
    case '[':
    case '{':
        needs->bytes += *text->next++ == '[' ? OF_LIST : OF_OBJECT;
        greater(&needs->levels, ++*level);
        if (*level > MOST_LEVELS)
            return false;
        members[*level] = 0;
        return true;
    case ']':
    case '}':
        text->next++;
        *level -= *level > 0;
        return true;
    case ',':
        text->next++;
        needs->bytes += OF_PLACE;
        return true;
    case ':':
        text->next++;
        needs->bytes += OF_MEMBER;
        greater(&needs->members, ++members[*level]);
        return true;
    case '"':
        text->next++;
        needs->bytes += OF_TEXT + skip_text(text);
        return true;
    case ' ':
    case '\t':
    case '\n':
    case '\r':
        text->next++;
        return true;
    default:
        letters = skip_word(text);
        if (letters == 0) /* no JSON from here on */
            text->next = text->end;
        needs->bytes += OF_WORD + letters;
        greater(&needs->digits, letters);
        return true;
    }
}

PyObject *core_json_needs(PyObject *module, PyObject *bytes)
{
    Py_buffer view;
    size_t members[MOST_LEVELS + 1] = {0}, level = 0;
    (void)module;
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    struct text text = {view.buf, (const unsigned char *)view.buf + view.len};
    struct needs needs = {.bytes = of_all_letters(text.next, text.end)};
    while (text.next < text.end && read_on(&text, &needs, members, &level))
        ;
    PyBuffer_Release(&view);
    return Py_BuildValue("nnnn", (Py_ssize_t)needs.levels, (Py_ssize_t)needs.members, (Py_ssize_t)needs.digits,
                         (Py_ssize_t)needs.bytes);
}
