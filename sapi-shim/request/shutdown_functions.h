/* shutdown_functions.h: the shutdown functions registered by a request: order, and each handed out
 * once.
 *
 * Pure but for memory. Runs nothing: request.c takes one after the other, and a function registered
 * while one runs comes after those already waiting. One request's list belongs to one thread.
 */
#ifndef OT_SHUTDOWN_FUNCTIONS_H
#define OT_SHUTDOWN_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>

typedef void shutdown_functions_function(void *argument);

struct shutdown_functions_list {
    struct shutdown_functions_entry *first;
    struct shutdown_functions_entry *last;
    size_t count;
};

/* Appends. False without memory. */
bool shutdown_functions_add(struct shutdown_functions_list *list,
                            shutdown_functions_function *function, void *argument);

/* Takes the first one off the list. False when it is empty. */
bool shutdown_functions_take(struct shutdown_functions_list *list,
                             shutdown_functions_function **function, void **argument);

/* Forgets those that are left; returns how many they were. */
size_t shutdown_functions_clear(struct shutdown_functions_list *list);

#endif
