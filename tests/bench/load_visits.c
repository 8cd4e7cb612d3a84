/* load_visits.c: see load_visits.h. */
#include "tests/bench/load_visits.h"

#include <stdlib.h>
#include <unistd.h>

static void list_push(struct load_list *list, struct load_visitor *visitor, bool front)
{
    visitor->next = front ? list->head : NULL;
    visitor->previous = front ? NULL : list->tail;
    if (visitor->next != NULL)
        visitor->next->previous = visitor;
    else
        list->tail = visitor;
    if (visitor->previous != NULL)
        visitor->previous->next = visitor;
    else
        list->head = visitor;
}

static void list_drop(struct load_list *list, struct load_visitor *visitor)
{
    if (visitor->next != NULL)
        visitor->next->previous = visitor->previous;
    else
        list->tail = visitor->previous;
    if (visitor->previous != NULL)
        visitor->previous->next = visitor->next;
    else
        list->head = visitor->next;
    visitor->next = visitor->previous = NULL;
}

static int table_grow(struct load_visits *visits)
{
    unsigned room = visits->room == 0 ? 256 : visits->room * 2;
    struct load_visitor **table = realloc(visits->table, room * sizeof(struct load_visitor *));
    if (table == NULL)
        return -1;
    visits->table = table;
    visits->room = room;
    return 0;
}

struct load_visitor *load_visits_new(struct load_visits *visits)
{
    struct load_visitor *visitor = visits->unused.head;

    if (visitor != NULL) {
        list_drop(&visits->unused, visitor);
        return visitor;
    }
    if (visits->size == visits->room && table_grow(visits) != 0)
        return NULL;
    visitor = calloc(1, sizeof *visitor);
    if (visitor == NULL)
        return NULL;
    visitor->fd = -1;
    visitor->index = visits->size;
    visits->table[visits->size++] = visitor;
    return visitor;
}

void load_visits_close(struct load_visitor *visitor)
{
    if (visitor->fd >= 0)
        close(visitor->fd);
    visitor->fd = -1;
    visitor->watched = false;
    visitor->generation++;
}

void load_visits_move(struct load_visits *visits, struct load_visitor *visitor,
                      enum load_state state)
{
    if (visitor->state == LOAD_WAITING)
        list_drop(&visits->waiting[visitor->kind], visitor);
    if (visitor->state == LOAD_KEPT)
        list_drop(&visits->kept[visitor->kind], visitor);
    visitor->state = state;
    if (state == LOAD_WAITING)
        list_push(&visits->waiting[visitor->kind], visitor, false);
    if (state == LOAD_KEPT)
        list_push(&visits->kept[visitor->kind], visitor, true);
    if (state == LOAD_FREE)
        list_push(&visits->unused, visitor, true);
}

void load_visits_free(struct load_visits *visits)
{
    for (unsigned i = 0; i < visits->size; i++) {
        load_visits_close(visits->table[i]);
        free(visits->table[i]);
    }
    free(visits->table);
    *visits = (struct load_visits){0};
}
