/* shutdown_functions.c: see shutdown_functions.h. */
#include "sapi-shim/request/shutdown_functions.h"

#include <stdlib.h>

struct shutdown_functions_entry {
    struct shutdown_functions_entry *next;
    shutdown_functions_function *function;
    void *argument;
};

bool shutdown_functions_add(struct shutdown_functions_list *list,
                            shutdown_functions_function *function, void *argument)
{
    struct shutdown_functions_entry *entry = malloc(sizeof *entry);
    if (entry == NULL)
        return false;
    *entry = (struct shutdown_functions_entry){.function = function, .argument = argument};
    *(list->last != NULL ? &list->last->next : &list->first) = entry;
    list->last = entry;
    list->count++;
    return true;
}

bool shutdown_functions_take(struct shutdown_functions_list *list,
                             shutdown_functions_function **function, void **argument)
{
    struct shutdown_functions_entry *entry = list->first;
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

size_t shutdown_functions_clear(struct shutdown_functions_list *list)
{
    size_t count = 0;
    shutdown_functions_function *function = NULL;
    void *argument = NULL;
    while (shutdown_functions_take(list, &function, &argument))
        count++;
    return count;
}
