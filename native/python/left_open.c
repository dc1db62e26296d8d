/*
 * CPython has no list of these objects, so their types keep one: each notes what
 * is made of it in a child, until that is dropped. Everywhere else it is a look at an empty list.
 */
#include "left_open.h"

#include <linux/sched.h>

#include "clone_ways.h"
#include "own_interpreter.h"
#include "python_recovery.h"

/* ---- the objects */

#define BUCKETS 256

struct noted {
    struct noted *next;
    PyObject *object; /* not held: it removes itself */
    struct core_table *table;
};

static struct noted *buckets[BUCKETS];
static long all_noted;
static struct core_table_user *users;

static struct noted **bucket_of(const PyObject *object)
{
    return &buckets[(uintptr_t)object / 64 % BUCKETS];
}

struct core_table_user *core_own_table_user(void)
{
    if (users == NULL)
        return NULL;
    const PyThreadState *state = PyThreadState_Get();
    pid_t pid = (pid_t)ramet_syscall0(__NR_getpid);
    for (struct core_table_user *user = users; user != NULL; user = user->next)
        if (user->state == state || user->pid == pid)
            return user;
    return NULL;
}

static bool is_told(const struct core_table_user *user, pid_t pid)
{
    return user->told != NULL && __atomic_load_n(user->told, __ATOMIC_ACQUIRE) == pid;
}

/* One that has run nothing yet is one as well: it would begin while its maker is being killed. */
static bool is_user(pid_t pid)
{
    const struct core_table_user *user = users;
    while (user != NULL && user->pid != pid && !is_told(user, pid))
        user = user->next;
    return user != NULL;
}

const struct ramet_sharers core_sharers = {core_remove_waiter, is_user};

static struct core_table *own_table(void)
{
    const struct core_table_user *user = core_own_table_user();
    return user == NULL ? NULL : user->table;
}

static void note(PyObject *object)
{
    struct core_table *table = own_table();
    struct noted *noted = table == NULL ? NULL : PyMem_RawMalloc(sizeof *noted);
    if (noted == NULL)
        return;
    struct noted **bucket = bucket_of(object);
    *noted = (struct noted){*bucket, object, table};
    *bucket = noted;
    table->left++;
    all_noted++;
}

static void remove_noted(struct noted **link)
{
    struct noted *noted = *link;
    *link = noted->next;
    noted->table->left--;
    all_noted--;
    PyMem_RawFree(noted);
}

static void forget(const PyObject *object)
{
    struct noted **link = bucket_of(object);
    while (*link != NULL && (*link)->object != object)
        link = &(*link)->next;
    if (*link != NULL)
        remove_noted(link);
}

/* A list of them, which are noted no more. */
static PyObject *take(const struct core_table *table)
{
    PyObject *left = PyList_New(0);
    for (int i = 0; left != NULL && i < BUCKETS; i++)
        for (struct noted **link = &buckets[i]; *link != NULL;) {
            if ((*link)->table != table) {
                link = &(*link)->next;
                continue;
            }
            if (PyList_Append(left, (*link)->object) < 0)
                PyErr_Clear();
            remove_noted(link);
        }
    return left;
}

/* ---- their types */

#define KINDS 4
#define MOST_INTERPRETERS 32 /* that made functions in shared memory; what is left open in more is not known */

static struct kind {
    PyTypeObject *type;
    newfunc make;
    destructor give_up;
} kinds[KINDS * MOST_INTERPRETERS];
static int kinds_known;

static const struct kind *kind_of(PyTypeObject *type)
{
    const struct kind *kind = kinds;
    while (!PyType_IsSubtype(type, kind->type))
        kind++;
    return kind;
}

static PyObject *make_and_note(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *object = kind_of(type)->make(type, args, kwargs);
    if (object != NULL && users != NULL)
        note(object);
    return object;
}

static void give_up_and_forget(PyObject *object)
{
    if (all_noted != 0)
        forget(object);
    kind_of(Py_TYPE(object))->give_up(object);
}

/* A class has from its bases how it is made, as that was when it was defined. */
static bool have_it_noted(PyTypeObject *type, newfunc make)
{
    if (type->tp_new == make)
        type->tp_new = make_and_note;
    PyObject *subclasses = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    for (Py_ssize_t i = 0; subclasses != NULL && i < PyList_GET_SIZE(subclasses); i++)
        if (!have_it_noted((PyTypeObject *)PyList_GET_ITEM(subclasses, i), make))
            Py_CLEAR(subclasses);
    Py_XDECREF(subclasses);
    return subclasses != NULL;
}

static bool know(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    if (type == NULL)
        return false;
    PyTypeObject *kind = (PyTypeObject *)type; /* held for good */
    if (kind->tp_dealloc == give_up_and_forget) { /* of all interpreters, and known from another */
        Py_DECREF(type);
        return true;
    }
    kinds[kinds_known++] = (struct kind){kind, kind->tp_new, kind->tp_dealloc};
    kind->tp_dealloc = give_up_and_forget;
    return have_it_noted(kind, kinds[kinds_known - 1].make);
}

bool core_left_open_ready(void)
{
    static const char *const names[KINDS][2] = {
        {"_io", "FileIO"}, {"_socket", "socket"}, {"select", "epoll"}, {"mmap", "mmap"}};
    struct core_interpreter *own = core_own_interpreter();
    if (own == NULL)
        return false;
    for (; own->kinds_known < KINDS && kinds_known < KINDS * MOST_INTERPRETERS; own->kinds_known++)
        if (!know(names[own->kinds_known][0], names[own->kinds_known][1]))
            return core_does_without();
    return true;
}

/* ---- the users of tables */

void core_table_enter(struct core_table_user *user, PyThreadState *state, uint64_t flags)
{
    *user = (struct core_table_user){.state = state, .may_have_pid = !(flags & (CLONE_THREAD | CLONE_NEWPID))};
    user->table = flags & CLONE_FILES ? own_table() : &user->own;
    user->next = users;
    users = user;
}

void core_table_set_up(struct core_table_user *user, pid_t pid)
{
    user->pid = user->may_have_pid && pid > 1 ? pid : 0;
}

void core_table_leave(struct core_table_user *user)
{
    struct core_table_user **link = &users;
    while (*link != NULL && *link != user)
        link = &(*link)->next;
    if (*link != NULL)
        *link = user->next;
}

/* NULL where it did not come to its end, which is told then. */
static PyObject *call(enum core_name name, PyObject *left, PyObject *result)
{
    PyObject *function = core_named(name);
    PyObject *answer = function == NULL ? NULL : PyObject_CallFunctionObjArgs(function, left, result, NULL);
    if (answer == NULL && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_WriteUnraisable(NULL);
    PyErr_Clear();
    return answer;
}

/* Whether it came to its end. */
static bool close_left(PyObject *left, SharedTaskObject *task)
{
    PyObject *result = task == NULL || task->kind != CORE_VALUE ? Py_None : task->outcome;
    PyObject *refusal = call(CORE_CLOSE_LEFT, left, result);
    if (task != NULL && refusal != NULL && refusal != Py_None) {
        Py_SETREF(task->outcome, Py_NewRef(refusal));
        task->kind = CORE_RAISED;
    }
    Py_XDECREF(refusal);
    return refusal != NULL;
}

static void clean_up(struct core_table_user *user, bool in_child, SharedTaskObject *task)
{
    if (user->own.left == 0)
        return;
    PyObject *left = take(&user->own);
    if (left != NULL && !(in_child && close_left(left, task))) /* else it was interrupted */
        Py_XDECREF(call(CORE_ABANDON_LEFT, left, NULL));
    Py_XDECREF(left);
}

void core_table_close(struct core_table_user *user, SharedTaskObject *task)
{
    clean_up(user, true, task);
    core_table_leave(user);
}

void core_table_abandon(struct core_table_user *user)
{
    core_table_leave(user);
    clean_up(user, false, NULL);
}

/* The number of a descriptor in an object, which is that word's lower half: none from now on. */
PyObject *core_forget_number(PyObject *module, PyObject *args)
{
    PyObject *object;
    Py_ssize_t place;
    (void)module;
    if (!PyArg_ParseTuple(args, "On:forget_number", &object, &place))
        return NULL;
    *(int *)((char *)object + place * (Py_ssize_t)sizeof(unsigned long)) = -1;
    Py_RETURN_NONE;
}
