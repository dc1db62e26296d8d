#include "words.h"

static const char *const texts[CORE_WORDS] = {
    [CORE_WORD_NAME] = "__name__",
    [CORE_WORD_APPEND] = "append",
    [CORE_WORD_BUFFERS] = "buffers",
    [CORE_WORD_BUFFER_CALLBACK] = "buffer_callback",
    [CORE_WORD_DECIMAL] = "_decimal",
    [CORE_WORD_DUMPS] = "dumps",
    [CORE_WORD_FAULTHANDLER] = "faulthandler",
    [CORE_WORD_FLUSH] = "flush",
    [CORE_WORD_HAS_NO] = "_has_no",
    [CORE_WORD_KEPT] = "ramet._core.kept",
    [CORE_WORD_LINE_OF_FRAME] = "tb_lineno",
    [CORE_WORD_LOADS] = "loads",
    [CORE_WORD_MODULE] = "__module__",
    [CORE_WORD_NATIVE_ID] = "_native_id",
    [CORE_WORD_NOTES] = "__notes__",
    [CORE_WORD_PICKLE] = "_pickle",
    [CORE_WORD_RAW] = "raw",
    [CORE_WORD_REGISTER] = "register",
    [CORE_WORD_TORCH] = "torch",
    [CORE_WORD_TRACKER] = "multiprocessing.resource_tracker",
};
static PyObject *made[CORE_WORDS];

PyObject *core_word(enum core_word word)
{
    if (made[word] == NULL)
        made[word] = PyUnicode_InternFromString(texts[word]);
    return made[word];
}

PyObject *core_imported(enum core_word module, enum core_word name)
{
    PyObject *modules = PyImport_GetModuleDict(), *module_name = core_word(module), *word = core_word(name);
    PyObject *found = module_name != NULL && PyDict_CheckExact(modules) ? PyDict_GetItemWithError(modules, module_name) : NULL;
    return found == NULL || word == NULL ? NULL : PyObject_GetAttr(found, word);
}

void core_make_words(void)
{
    for (size_t i = 0; i < CORE_WORDS; i++)
        if (core_word(i) == NULL)
            PyErr_Clear(); /* it is made when it is needed */
}

void core_forget_words(void)
{
    for (size_t i = 0; i < CORE_WORDS; i++)
        made[i] = NULL;
}
