/* load_heap.c: see load_heap.h. */
#include "tests/bench/load_heap.h"

#include <stdlib.h>

static void put(struct load_heap *heap, size_t place, struct load_timer *timer)
{
    heap->items[place] = timer;
    timer->place = place;
}

static void settle(struct load_heap *heap, struct load_timer *timer, size_t place)
{
    while (place > 1 && heap->items[place / 2]->at > timer->at) {
        put(heap, place, heap->items[place / 2]);
        place /= 2;
    }
    for (;;) {
        size_t child = place * 2;
        if (child < heap->size && heap->items[child + 1]->at < heap->items[child]->at)
            child++;
        if (child > heap->size || heap->items[child]->at >= timer->at)
            break;
        put(heap, place, heap->items[child]);
        place = child;
    }
    put(heap, place, timer);
}

int load_heap_set(struct load_heap *heap, struct load_timer *timer, int64_t at)
{
    timer->at = at;
    if (timer->place == 0) {
        if (heap->size + 1 >= heap->room) {
            size_t room = heap->room == 0 ? 256 : heap->room * 2;
            struct load_timer **items = realloc(heap->items, room * sizeof(struct load_timer *));
            if (items == NULL)
                return -1;
            heap->items = items;
            heap->room = room;
        }
        put(heap, ++heap->size, timer);
    }
    settle(heap, timer, timer->place);
    return 0;
}

void load_heap_clear(struct load_heap *heap, struct load_timer *timer)
{
    size_t place = timer->place;

    if (place == 0)
        return;
    timer->place = 0;
    struct load_timer *last = heap->items[heap->size--];
    if (last != timer) {
        put(heap, place, last);
        settle(heap, last, place);
    }
}

struct load_timer *load_heap_first(const struct load_heap *heap)
{
    return heap->size == 0 ? NULL : heap->items[1];
}

void load_heap_free(struct load_heap *heap)
{
    free(heap->items);
    *heap = (struct load_heap){0};
}
