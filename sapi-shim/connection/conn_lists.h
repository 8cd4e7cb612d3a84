/* conn_lists.h: the connections of a wait set: one list per state, ordered by deadline, and the
 * epoll descriptor that watches them.
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
    bool (*leaving)(void); /* true once the worker passes its connections on because it stops */
    struct conn_lists_list in[CONN_STATES]; /* CONN_BUSY's stays empty */
};

/* Puts the connection into the list of `state`, where it may stay for `max_ms` (0 = no limit) from
 * `since` on (0 = now). */
void conn_lists_put(struct conn_lists *lists, struct conn *conn, enum conn_state state,
                    int64_t max_ms, uint64_t since);

/* Takes the connection out of its list: it is CONN_BUSY and the caller's. */
void conn_lists_take(struct conn_lists *lists, struct conn *conn);

/* Watches the connection unless it is watched. conn_lists_find maps an event's data to it. False if
 * the kernel refuses. */
bool conn_lists_watch(struct conn_lists *lists, struct conn *conn);

/* Watches the connection anew: unread input makes an event at once. */
bool conn_lists_rewatch(struct conn_lists *lists, struct conn *conn);

/* The connection that an event is about; NULL if it was closed since. */
struct conn *conn_lists_find(uint64_t data);

/* Closes and frees. Clears the pointer. */
void conn_lists_close(struct conn_lists *lists, struct conn **conn);

/* Passes a connection on to a sibling and clears the pointer; `idle`: it is between two requests.
 * False if no sibling can take it; it is then CONN_BUSY and not watched. */
bool conn_lists_pass_on(struct conn_lists *lists, struct conn **conn, bool idle);

/* Passes on the first `count` connections in this state, or fewer if no sibling can take one. */
void conn_lists_pass_on_first(struct conn_lists *lists, enum conn_state state, unsigned count);

/* Passes on the connections in this state until no sibling can take one; the others stay. */
void conn_lists_pass_on_all(struct conn_lists *lists, enum conn_state state);

#endif
