/* conn_lists.c: see conn_lists.h. */
#include "sapi-shim/connection/conn_lists.h"

#include "sapi-shim/connection/conn_handoff.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"

#include <limits.h>
#include <sys/epoll.h>

void conn_lists_take(struct conn_lists *lists, struct conn *conn)
{
    struct conn_lists_list *list = &lists->in[conn->state];
    if (conn->state == CONN_BUSY)
        return;
    *(conn->prev != NULL ? &conn->prev->next : &list->first) = conn->next;
    *(conn->next != NULL ? &conn->next->prev : &list->last) = conn->prev;
    conn->prev = conn->next = NULL;
    list->count--;
    if (conn->state == CONN_KEPT)
        worker_slot_kept(list->count);
    conn->state = CONN_BUSY;
}

/* Inserts by deadline: nearly always at the end, as all connections in a state may stay as long.
 * A connection that a sibling has passed on may have waited before. */
static void conn_lists_insert(struct conn_lists *lists, struct conn *conn, enum conn_state state)
{
    struct conn_lists_list *list = &lists->in[state];
    struct conn *before = list->last;
    while (before != NULL && before->deadline > conn->deadline)
        before = before->prev;
    conn->prev = before;
    conn->next = before != NULL ? before->next : list->first;
    *(conn->next != NULL ? &conn->next->prev : &list->last) = conn;
    *(before != NULL ? &before->next : &list->first) = conn;
    conn->state = state;
    list->count++;
    if (state == CONN_KEPT)
        worker_slot_kept(list->count);
}

void conn_lists_put(struct conn_lists *lists, struct conn *conn, enum conn_state state,
                    int64_t max_ms, uint64_t since)
{
    conn_lists_take(lists, conn);
    conn->since = since != 0 ? since : clock_ns();
    conn->deadline = max_ms > 0 ? conn->since + (uint64_t)max_ms * CLOCK_NS_PER_MS : 0;
    conn_lists_insert(lists, conn, state);
}

bool conn_lists_watch(struct conn_lists *lists, struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    event.data.u64 = (uint64_t)conn->serial << 32 | (uint32_t)conn->fd;
    if (!conn->watched)
        conn->watched = epoll_ctl(lists->epfd, EPOLL_CTL_ADD, conn->fd, &event) == 0;
    return conn->watched;
}

/* A child may hold a copy of the descriptor; closing ours does not end the watch then. */
static void conn_lists_unwatch(struct conn_lists *lists, struct conn *conn)
{
    if (conn->watched)
        (void)epoll_ctl(lists->epfd, EPOLL_CTL_DEL, conn->fd, NULL);
    conn->watched = false;
}

bool conn_lists_rewatch(struct conn_lists *lists, struct conn *conn)
{
    conn_lists_unwatch(lists, conn);
    return conn_lists_watch(lists, conn);
}

struct conn *conn_lists_find(uint64_t data)
{
    struct conn *conn = conn_find((int)(uint32_t)data);
    return conn != NULL && conn->serial == (uint32_t)(data >> 32) ? conn : NULL;
}

void conn_lists_close(struct conn_lists *lists, struct conn **conn)
{
    conn_lists_take(lists, *conn);
    conn_lists_unwatch(lists, *conn);
    conn_free(conn);
}

bool conn_lists_pass_on(struct conn_lists *lists, struct conn **conn, bool idle)
{
    if (idle)
        (*conn)->since = clock_ns(); /* a request header that has begun has its time from now on */
    conn_lists_take(lists, *conn);
    conn_lists_unwatch(lists, *conn);
    return conn_handoff_send(conn, idle, lists->leaving());
}

void conn_lists_pass_on_all(struct conn_lists *lists, enum conn_state state)
{
    conn_lists_pass_on_first(lists, state, UINT_MAX);
}

void conn_lists_pass_on_first(struct conn_lists *lists, enum conn_state state, unsigned count)
{
    struct conn *conn = NULL;
    while (count-- > 0 && conn_handoff_fd() >= 0 && (conn = lists->in[state].first) != NULL) {
        struct conn *passed = conn;
        uint64_t since = conn->since;
        if (conn_lists_pass_on(lists, &passed, state == CONN_KEPT))
            continue;
        /* No sibling can take one now: the connection stays, with its old deadline. */
        if (conn_lists_watch(lists, conn)) {
            conn->since = since;
            conn_lists_insert(lists, conn, state);
        } else {
            conn_lists_close(lists, &conn);
        }
        return;
    }
}
