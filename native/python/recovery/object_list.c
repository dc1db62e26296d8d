/* Lists of objects, of which they hold none. */
#include "python_inside.h"

#include <stdlib.h>

bool core_objects_add(struct core_objects *objects, PyObject *object)
{
    if (objects->count == objects->room) {
        size_t room = objects->room == 0 ? 64 : 2 * objects->room;
        PyObject **items = realloc(objects->items, room * sizeof *items);
        if (items == NULL)
            return false;
        objects->items = items;
        objects->room = room;
    }
    objects->items[objects->count++] = object;
    return true;
}

void core_objects_free(struct core_objects *objects)
{
    free(objects->items);
    *objects = (struct core_objects){0};
}
