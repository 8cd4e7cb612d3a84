/* luck.c: see luck.h. */
#include "sapi-shim/connection/luck.h"

#include <stdatomic.h>

bool luck_tries(struct luck *luck)
{
    unsigned skip = atomic_load_explicit(&luck->skip, memory_order_relaxed);
    if (skip > 0)
        atomic_store_explicit(&luck->skip, skip - 1, memory_order_relaxed);
    return skip == 0;
}

void luck_tried(struct luck *luck, bool paid)
{
    unsigned misses = atomic_load_explicit(&luck->misses, memory_order_relaxed);
    misses = paid ? 0 : 2 * misses + 1;
    misses = misses < LUCK_MOST ? misses : LUCK_MOST;
    atomic_store_explicit(&luck->misses, misses, memory_order_relaxed);
    atomic_store_explicit(&luck->skip, misses, memory_order_relaxed);
}
