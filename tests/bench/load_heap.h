/* load_heap.h: things that are due at some time, the earliest first. Knows nothing of them but that
 * time: each holds a struct load_timer.
 */
#ifndef LOAD_HEAP_H
#define LOAD_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct load_timer {
    int64_t at;   /* nanoseconds */
    size_t place; /* in the heap, from 1; 0 = not set */
};

struct load_heap {
    struct load_timer **items; /* from 1 */
    size_t size;
    size_t room;
};

/* Sets or moves a timer; -1 when memory is short. */
int load_heap_set(struct load_heap *heap, struct load_timer *timer, int64_t at);

/* Does nothing to one that is not set. */
void load_heap_clear(struct load_heap *heap, struct load_timer *timer);

/* The earliest, or NULL. */
struct load_timer *load_heap_first(const struct load_heap *heap);

void load_heap_free(struct load_heap *heap);

#endif
