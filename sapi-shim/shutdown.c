/* shutdown.c: see shutdown.h. */
#include "sapi-shim/shutdown.h"

#include <stdlib.h>

struct shutdown_entry {
    struct shutdown_entry *next;
    shutdown_function *function;
    void *argument;
};

bool shutdown_add(struct shutdown_list *list, shutdown_function *function, void *argument)
{
    struct shutdown_entry *entry = malloc(sizeof *entry);
    if (entry == NULL)
        return false;
    *entry = (struct shutdown_entry){.function = function, .argument = argument};
    *(list->last != NULL ? &list->last->next : &list->first) = entry;
    list->last = entry;
    list->count++;
    return true;
}

bool shutdown_take(struct shutdown_list *list, shutdown_function **function, void **argument)
{
    struct shutdown_entry *entry = list->first;
    if (entry == NULL)
        return false;
    list->first = entry->next;
    list->count--;
    if (list->first == NULL)
        list->last = NULL;
    *function = entry->function;
    *argument = entry->argument;
    free(entry);
    return true;
}

size_t shutdown_clear(struct shutdown_list *list)
{
    size_t count = 0;
    shutdown_function *function = NULL;
    void *argument = NULL;
    while (shutdown_take(list, &function, &argument))
        count++;
    return count;
}
