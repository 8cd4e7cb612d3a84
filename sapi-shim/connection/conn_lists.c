/* conn_lists.c: see conn_lists.h. */
#include "sapi-shim/connection/conn_lists.h"

#include "sapi-shim/connection/conn_handoff.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"

#include <sys/epoll.h>

static void conn_lists_unlink(struct conn_lists *places, struct conn *conn)
{
    struct conn_lists_list *list = &places->lists[conn->state];
    if (conn->state == CONN_BUSY)
        return;
    *(conn->prev != NULL ? &conn->prev->next : &list->first) = conn->next;
    *(conn->next != NULL ? &conn->next->prev : &list->last) = conn->prev;
    conn->prev = conn->next = NULL;
    list->count--;
    if (conn->state == CONN_KEPT)
        worker_slot_kept(list->count);
}

/* Nearly always at the end, as a place has one length of stay; but a connection that was handed
 * over may have waited elsewhere before. */
static void conn_lists_link(struct conn_lists_list *list, struct conn *conn)
{
    struct conn *before = list->last;
    while (before != NULL && before->deadline > conn->deadline)
        before = before->prev;
    conn->prev = before;
    conn->next = before != NULL ? before->next : list->first;
    *(conn->next != NULL ? &conn->next->prev : &list->last) = conn;
    *(before != NULL ? &before->next : &list->first) = conn;
    list->count++;
}

void conn_lists_move_since(struct conn_lists *places, struct conn *conn, enum conn_state place,
                           uint64_t stay, uint64_t since)
{
    conn_lists_unlink(places, conn);
    conn->state = place;
    if (place == CONN_BUSY)
        return;
    conn->since = since != 0 ? since : clock_ns();
    conn->deadline = stay == 0 ? 0 : conn->since + stay;
    conn_lists_link(&places->lists[place], conn);
    if (place == CONN_KEPT)
        worker_slot_kept(places->lists[place].count);
}

void conn_lists_move(struct conn_lists *places, struct conn *conn, enum conn_state place,
                     uint64_t stay)
{
    conn_lists_move_since(places, conn, place, stay, 0);
}

bool conn_lists_watch(struct conn_lists *places, struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    event.data.u64 = (uint64_t)conn->serial << 32 | (uint32_t)conn->fd;
    if (conn->watched)
        return true;
    conn->watched = epoll_ctl(places->epfd, EPOLL_CTL_ADD, conn->fd, &event) == 0;
    return conn->watched;
}

/* A child may hold a copy of the descriptor, and then closing does not end the watch. */
static void conn_lists_unwatch(struct conn_lists *places, struct conn *conn)
{
    if (conn->watched)
        (void)epoll_ctl(places->epfd, EPOLL_CTL_DEL, conn->fd, NULL);
    conn->watched = false;
}

bool conn_lists_rewatch(struct conn_lists *places, struct conn *conn)
{
    conn_lists_unwatch(places, conn);
    return conn_lists_watch(places, conn);
}

struct conn *conn_lists_find(uint64_t tag)
{
    struct conn *conn = conn_find((int)(uint32_t)tag);
    return conn != NULL && conn->serial == (uint32_t)(tag >> 32) ? conn : NULL;
}

void conn_lists_drop(struct conn_lists *places, struct conn **conn)
{
    conn_lists_move(places, *conn, CONN_BUSY, 0);
    conn_lists_unwatch(places, *conn);
    conn_free(conn);
}

bool conn_lists_give(struct conn_lists *places, struct conn **conn)
{
    bool kept = (*conn)->state == CONN_KEPT;
    if (kept)
        (*conn)->since = clock_ns(); /* the time for its header begins here */
    conn_lists_move(places, *conn, CONN_BUSY, 0);
    conn_lists_unwatch(places, *conn);
    return conn_handoff_send(conn, kept, graceful_stop_requested());
}

void conn_lists_give_all(struct conn_lists *places, enum conn_state place)
{
    struct conn *conn = NULL;
    while (conn_handoff_fd() >= 0 && (conn = places->lists[place].first) != NULL) {
        struct conn *given = conn;
        uint64_t since = conn->since;
        uint64_t stay = conn->deadline != 0 ? conn->deadline - since : 0;
        if (conn_lists_give(places, &given))
            continue;
        if (conn_lists_watch(places, conn))
            conn_lists_move_since(places, conn, place, stay, since);
        else
            conn_lists_drop(places, &conn);
        return; /* nobody takes any now */
    }
}
