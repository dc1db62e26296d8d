/* Words that are looked up often: interned, and made when they are first needed. */
#pragma once

#include "core.h"

enum core_word {
    CORE_WORD_NAME,
    CORE_WORD_APPEND,
    CORE_WORD_BUFFERS,
    CORE_WORD_BUFFER_CALLBACK,
    CORE_WORD_DECIMAL,
    CORE_WORD_DUMPS,
    CORE_WORD_FAULTHANDLER,
    CORE_WORD_FLUSH,
    CORE_WORD_HAS_NO,
    CORE_WORD_KEPT,
    CORE_WORD_LINE_OF_FRAME,
    CORE_WORD_LOADS,
    CORE_WORD_MODULE,
    CORE_WORD_NATIVE_ID,
    CORE_WORD_NOTES,
    CORE_WORD_PICKLE,
    CORE_WORD_RAW,
    CORE_WORD_REGISTER,
    CORE_WORD_TORCH,
    CORE_WORD_TRACKER,
    CORE_WORDS
};

/* A borrowed reference; NULL with an exception set. */
PyObject *core_word(enum core_word word);

/* What a module has by that name, if it has been imported: a new reference. NULL, without an exception if it has not been. */
PyObject *core_imported(enum core_word module, enum core_word name);

/* All of them, in a process that will be copied: else each copy makes its own. */
void core_make_words(void);

/* Python has ended, and the words with it. */
void core_forget_words(void);
