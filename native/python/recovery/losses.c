/* What a dead child took with it, as ramet._function.recovery finds it. */
#include "called_names.h"
#include "python_inside.h"

void core_losses_ready(void)
{
    static bool ready;
    PyObject *class = core_named(CORE_LOSSES); /* it is one of Python */
    if (!ready && class != NULL)
        core_plain_ready((PyTypeObject *)class);
    ready = ready || class != NULL;
}

static void tell(SharedTaskObject *task, PyObject *losses)
{
    if (task != NULL)
        Py_XSETREF(task->losses, Py_NewRef(losses));
}

static PyObject *word_of(enum core_collecting collecting)
{
    if (collecting == CORE_NOT_COLLECTING)
        return Py_None;
    return collecting == CORE_COLLECTOR_GIVEN_BACK ? Py_True : Py_False;
}

PyObject *core_end_collection_of_dead(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return Py_NewRef(word_of(core_end_collection()));
}

bool core_take_stock(struct core_dead_frames *found, const struct core_release *release, SharedTaskObject *task,
                     bool own_identity)
{
    PyObject *take_stock = core_named(CORE_TAKE_STOCK);
    bool nothing = found->frames == 0 || take_stock == NULL; /* -1: they are not known */
    int stays = 0;
    long given_up = release == NULL ? 0 : release->given_up;
    Py_ssize_t kept = release == NULL ? 0 : (Py_ssize_t)release->kept.count;
    const char *stack = found->stack.count == 0 ? "" : (const char *)found->stack.words;
    PyObject *noted = nothing ? NULL : core_noted_frames(found), *losses = NULL, *told = NULL;
    if (noted != NULL)
        told = PyObject_CallFunction(take_stock, "lllnOkOy#OO", found->frames, found->references, given_up, kept, noted,
                                     found->ident, own_identity ? Py_True : Py_False, stack,
                                     (Py_ssize_t)(found->stack.count * sizeof(void *)), word_of(found->collecting),
                                     found->was_at_work ? Py_True : Py_False);
    if (told != NULL && PyArg_ParseTuple(told, "Op", &losses, &stays))
        tell(task, losses);
    Py_XDECREF(told);
    Py_XDECREF(noted);
    PyErr_Clear();
    core_forget_stack(&found->stack);
    return stays != 0;
}

void core_give_back_after_interrupt(void)
{
    PyObject *give_back = core_named(CORE_AFTER_INTERRUPT);
    PyObject *nothing = give_back == NULL ? NULL : PyObject_CallNoArgs(give_back);
    Py_XDECREF(nothing);
    PyErr_Clear();
}
