/* shutdown_functions.h: the list of shutdown functions that a request has registered.
 *
 * Keeps their order and hands out each one once; a function that is registered while another one
 * runs comes last. Runs nothing, and is pure but for memory. A request's list belongs to one
 * thread.
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

/* Empties the list; returns how many functions were in it. */
size_t shutdown_functions_clear(struct shutdown_functions_list *list);

#endif
