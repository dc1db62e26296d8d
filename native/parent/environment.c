/*
 * libc's setenv() cannot be seen to run, and its lock cannot be taken. But it does not change strings
 * that are in the environment: it only replaces pointers, and now and then the array of them.
 */
#define _GNU_SOURCE
#include "environment.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 4096

extern char **environ;

struct pointers {
    size_t count, room;
    const char **first;
};

/* The block, with room for as many items as are needed. NULL when there is no memory for it; then the block is unchanged. */
static void *with_room(void *block, size_t *room, size_t needed, size_t item)
{
    size_t more = *room == 0 ? FIRST_BYTES / item : *room;
    while (more < needed)
        more *= 2;
    if (more == *room)
        return block;
    void *grown = reallocarray(block, more, item);
    if (grown != NULL)
        *room = more;
    return grown;
}

/* Reads each pointer once: a second read could find another one, or none. */
static bool read_places(struct pointers *pointers, char *const *places)
{
    pointers->count = 0;
    for (size_t i = 0; places != NULL; i++) {
        const char *string = __atomic_load_n(&places[i], __ATOMIC_ACQUIRE);
        if (string == NULL)
            break;
        void *grown = with_room(pointers->first, &pointers->room, i + 1, sizeof string);
        if (grown == NULL)
            return false;
        pointers->first = grown;
        pointers->first[pointers->count++] = string;
    }
    return true;
}

/* glibc before 2.41 frees an array that it has replaced: what was read from such an array is dropped. */
static bool read_pointers(struct pointers *pointers)
{
    char **read;
    do {
        read = __atomic_load_n(&environ, __ATOMIC_ACQUIRE);
        if (!read_places(pointers, read))
            return false;
    } while (read != __atomic_load_n(&environ, __ATOMIC_ACQUIRE));
    return true;
}

static bool copy_strings(struct ramet_environment *environment, const struct pointers *pointers)
{
    size_t room = 0;
    for (size_t i = 0; i < pointers->count; i++) {
        size_t length = strlen(pointers->first[i]), end = environment->length + length;
        char *grown = with_room(environment->text, &room, end + 1, 1);
        if (grown == NULL)
            return false;
        environment->text = grown;
        memcpy(grown + environment->length, pointers->first[i], length);
        grown[end] = 0;
        environment->length = end + 1;
    }
    environment->count = pointers->count;
    return true;
}

bool ramet_environment_take(struct ramet_environment *environment)
{
    struct pointers pointers = {0};
    if (!environment->taken)
        environment->taken = read_pointers(&pointers) && copy_strings(environment, &pointers);
    free(pointers.first);
    return environment->taken;
}

void ramet_environment_release(struct ramet_environment *environment)
{
    free(environment->text);
    *environment = (struct ramet_environment){0};
}
