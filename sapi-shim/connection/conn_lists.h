/* conn_lists.h: where the connections of a wait set are: lists in the order of their deadlines, and
 * what the kernel watches of them.
 *
 * Decides nothing: wait_set.c says which connection goes where. Connections are watched
 * edge-triggered and stay watched while they are served. The caller holds the wait set's lock.
 */
#ifndef OT_CONN_LISTS_H
#define OT_CONN_LISTS_H

#include "sapi-shim/connection/conn.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct conn_lists_list {
    struct conn *first;
    struct conn *last;
    _Atomic unsigned count; /* may be read without the lock */
};

struct conn_lists {
    int epfd;
    struct conn_lists_list lists[CONN_STATES]; /* that of CONN_BUSY stays empty */
};

/* The one function that moves a connection from place to place, where it may stay so long (0 = for
 * ever) from `since` on (0 = from now). CONN_BUSY: it is the caller's. */
void conn_lists_move_since(struct conn_lists *places, struct conn *conn, enum conn_state place,
                           uint64_t stay, uint64_t since);
void conn_lists_move(struct conn_lists *places, struct conn *conn, enum conn_state place,
                     uint64_t stay);

/* Watches it, if it is not watched. An event names it by places_tag. False: the kernel refuses. */
bool conn_lists_watch(struct conn_lists *places, struct conn *conn);

/* Watches it, with an event at once if something lies there to be read. */
bool conn_lists_rewatch(struct conn_lists *places, struct conn *conn);

/* The connection that an event is about; NULL if it has gone in the meantime. */
struct conn *conn_lists_find(uint64_t tag);

/* Closes and frees. Forgets the pointer. */
void conn_lists_drop(struct conn_lists *places, struct conn **conn);

/* Gives a connection to another worker. Forgets the pointer if one takes it; else it is CONN_BUSY
 * and not watched. */
bool conn_lists_give(struct conn_lists *places, struct conn **conn);

/* Gives all of a place, as far as others take them; the rest stays. */
void conn_lists_give_all(struct conn_lists *places, enum conn_state place);

#endif
