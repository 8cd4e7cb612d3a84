/* load_visits.h: the generator's connections and clients: where they are kept, and the state each
 * is in. Decides nothing and sends nothing.
 */
#ifndef LOAD_VISITS_H
#define LOAD_VISITS_H

#include "tests/bench/load_answer.h"
#include "tests/bench/load_heap.h"
#include "tests/bench/load_plan.h"

enum load_state {
    LOAD_FREE,
    LOAD_THINKING,   /* a client of a closed loop between two requests */
    LOAD_WAITING,    /* for room in the listen queue */
    LOAD_CONNECTING, /* TCP */
    LOAD_SENDING,
    LOAD_RECEIVING,
    LOAD_KEPT /* idle */
};

/* A connection and the request on it; or a client that has none at the moment. */
struct load_visitor {
    struct load_timer timer; /* first, so that the heap's items are visitors */
    int fd;
    unsigned index;      /* in the table */
    unsigned generation; /* of the descriptor: an event of an older one is not for this one */
    enum load_state state;
    bool watched; /* epoll has it */
    bool reused;  /* the request is not the connection's first */
    bool retried;
    bool was_full; /* the listen queue was, once at least */
    size_t kind;
    size_t out; /* bytes sent */
    int64_t due, start, sent, first;
    struct load_answer answer;
    struct load_visitor *next, *previous; /* in the free, waiting or kept list */
};

struct load_list {
    struct load_visitor *head, *tail;
};

struct load_visits {
    struct load_visitor **table;
    unsigned size;
    unsigned room;
    struct load_list unused;
    struct load_list waiting[LOAD_KINDS_MAX]; /* first come, first */
    struct load_list kept[LOAD_KINDS_MAX];    /* last used first */
};

/* A free one, or NULL when memory is short. Not free any more once it is moved. */
struct load_visitor *load_visits_new(struct load_visits *visits);

/* Closes its descriptor, if it has one. */
void load_visits_close(struct load_visitor *visitor);

/* The one who moves a visitor from state to state; keeps the lists true. */
void load_visits_move(struct load_visits *visits, struct load_visitor *visitor,
                      enum load_state state);

/* Closes and frees them all. */
void load_visits_free(struct load_visits *visits);

#endif
