/* limit_timer.c: see limit_timer.h. */
#include "sapi-shim/request/limit_timer.h"

#include "sapi-shim/request/hard_timeout.h"
#include "sapi-shim/request/news.h"
#include "sapi-shim/request/peer_watch.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/util/clock.h"

/* Between two calls of ot_on_news's function for the same news; doubles each time. */
#define LIMIT_TIMER_PAUSE_MIN ((uint64_t)(10 * CLOCK_NS_PER_MS))
#define LIMIT_TIMER_PAUSE_MAX ((uint64_t)CLOCK_NS_PER_S)

/* The kernel sends the signal when something happens on a watched connection. Once the client has
 * left it must not send another one. */
static uint64_t limit_timer_check_client(struct request *request, uint64_t now)
{
    const struct conn *conn = request->conn;
    if (!request_is_open(request) || conn == NULL || conn->fd < 0 ||
        (request->record->status & OT_BIT_ABORTED))
        return 0;
    if (!atomic_load(&request->client_left)) {
        if (!request->watched || !(peer_watch_gone(conn->fd) || conn_abort_pending(conn)))
            return 0;
        atomic_store(&request->client_left, true);
        atomic_store(&request->has_news, true);
        peer_watch_disarm(conn->fd);
        request->watched = false;
    }
    /* Shows the operator at once that the client has left; the next safe point counts it. Waits a
     * moment if the interrupted code has a change of the record open. */
    struct ot_record *record = request->record;
    if (atomic_load(&record->change) & 1)
        return now + CLOCK_NS_PER_MS;
    record_begin(&record->change);
    record->status |= OT_BIT_ABORTED;
    record_end(&record->change);
    return 0;
}

/* ot_on_news: tells of a limit that is reached, or a client that has left, again and again until a
 * look at the status has taken note of it. */
static uint64_t limit_timer_tell(struct request *request, uint64_t now)
{
    bool left = atomic_load(&request->client_left) && request_is_open(request) &&
                !(request->status & OT_BIT_ABORTED);
    if (!news_wanted())
        return 0;
    if (!left && !time_limit_is_reached(&request->limit, now))
        return request->limit.deadline;
    uint64_t pause = request->news_pause != 0 ? 2 * request->news_pause : LIMIT_TIMER_PAUSE_MIN;
    request->news_pause = pause < LIMIT_TIMER_PAUSE_MAX ? pause : LIMIT_TIMER_PAUSE_MAX;
    atomic_store(&request->has_news, true);
    news_tell();
    return now + request->news_pause;
}

uint64_t limit_timer_check(uint64_t now)
{
    struct request *request = request_current();
    if (request == NULL)
        return 0;
    if (request->limit.cpu_deadline != 0)
        time_limit_check_cpu(&request->limit, clock_read_ns(CLOCK_THREAD_CPUTIME_ID), now);
    if (time_limit_is_hard(&request->limit, now))
        hard_timeout_exit(request);
    uint64_t next = limit_timer_check_client(request, now);
    next = clock_earlier(next, limit_timer_tell(request, now));
    return clock_earlier(next, request->limit.hard_at);
}
