/* places.c: see places.h. */
#include "sapi-shim/places.h"
#include "sapi-shim/board.h"
#include "sapi-shim/clock.h"
#include "sapi-shim/drain.h"
#include "sapi-shim/handoff.h"

#include <sys/epoll.h>

static void places_unlink(struct places *places, struct conn *conn)
{
    struct places_list *list = &places->lists[conn->place];
    if (conn->place == CONN_BUSY)
        return;
    *(conn->prev != NULL ? &conn->prev->next : &list->first) = conn->next;
    *(conn->next != NULL ? &conn->next->prev : &list->last) = conn->prev;
    conn->prev = conn->next = NULL;
    list->count--;
    if (conn->place == CONN_KEPT)
        board_kept(list->count);
}

/* Nearly always at the end, as a place has one length of stay; but a connection that was handed
 * over may have waited elsewhere before. */
static void places_link(struct places_list *list, struct conn *conn)
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

void places_move_since(struct places *places, struct conn *conn, enum conn_place place,
                       uint64_t stay, uint64_t since)
{
    places_unlink(places, conn);
    conn->place = place;
    if (place == CONN_BUSY)
        return;
    conn->since = since != 0 ? since : clock_now();
    conn->deadline = stay == 0 ? 0 : conn->since + stay;
    places_link(&places->lists[place], conn);
    if (place == CONN_KEPT)
        board_kept(places->lists[place].count);
}

void places_move(struct places *places, struct conn *conn, enum conn_place place, uint64_t stay)
{
    places_move_since(places, conn, place, stay, 0);
}

bool places_watch(struct places *places, struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    event.data.u64 = (uint64_t)conn->serial << 32 | (uint32_t)conn->fd;
    if (conn->watched)
        return true;
    conn->watched = epoll_ctl(places->epfd, EPOLL_CTL_ADD, conn->fd, &event) == 0;
    return conn->watched;
}

/* A child may hold a copy of the descriptor, and then closing does not end the watch. */
static void places_unwatch(struct places *places, struct conn *conn)
{
    if (conn->watched)
        (void)epoll_ctl(places->epfd, EPOLL_CTL_DEL, conn->fd, NULL);
    conn->watched = false;
}

bool places_rewatch(struct places *places, struct conn *conn)
{
    places_unwatch(places, conn);
    return places_watch(places, conn);
}

struct conn *places_find(uint64_t tag)
{
    struct conn *conn = conn_find((int)(uint32_t)tag);
    return conn != NULL && conn->serial == (uint32_t)(tag >> 32) ? conn : NULL;
}

void places_drop(struct places *places, struct conn **conn)
{
    places_move(places, *conn, CONN_BUSY, 0);
    places_unwatch(places, *conn);
    conn_free(conn);
}

bool places_give(struct places *places, struct conn **conn)
{
    bool kept = (*conn)->place == CONN_KEPT;
    if (kept)
        (*conn)->since = clock_now(); /* the time for its header begins here */
    places_move(places, *conn, CONN_BUSY, 0);
    places_unwatch(places, *conn);
    return handoff_send(conn, kept, drain_asked());
}

void places_give_all(struct places *places, enum conn_place place)
{
    struct conn *conn = NULL;
    while (handoff_fd() >= 0 && (conn = places->lists[place].first) != NULL) {
        struct conn *given = conn;
        uint64_t since = conn->since;
        uint64_t stay = conn->deadline != 0 ? conn->deadline - since : 0;
        if (places_give(places, &given))
            continue;
        if (places_watch(places, conn))
            places_move_since(places, conn, place, stay, since);
        else
            places_drop(places, &conn);
        return; /* nobody takes any now */
    }
}
