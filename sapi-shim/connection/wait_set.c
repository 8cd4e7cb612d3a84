/* wait_set.c: see wait_set.h.
 *
 * Connections stay watched while they are served, so that a kept connection costs no epoll_ctl per
 * request. They are watched edge-triggered; otherwise a body that arrives would wake waiting
 * threads.
 */
#include "sapi-shim/connection/wait_set.h"

#include "sapi-shim/access_log/log_entry.h"
#include "sapi-shim/connection/conn_handoff.h"
#include "sapi-shim/connection/conn_lists.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/connection/keepalive_policy.h"
#include "sapi-shim/connection/listener.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"
#include "sapi-shim/util/timer.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    WAIT_SET_SETS = 8,          /* listening sockets per process */
    WAIT_SET_LINGERING = 64,    /* lingering connections; one more closes the oldest */
    WAIT_SET_LINGER_MS = 2000,  /* longest time in CONN_LINGERING */
    WAIT_SET_EXIT_MS = 500,     /* the same at the end of the process */
    WAIT_SET_PAUSE_MS = 20,     /* after descriptors or memory have run out */
    WAIT_SET_POLLED = 1024,     /* connections polled while the worker stops */
    WAIT_SET_SURPLUS_MS = 1000, /* longest time that a surplus kept connection stays idle */
    WAIT_SET_LOOK_AWAY_MS = 20, /* after a connection was left to a sibling that has room */
    WAIT_SET_SHUT_MS = 200,     /* between two looks at a listening socket that was shut down */
    WAIT_SET_ALONE_MS = 2000,   /* a worker that leaves waits for room where there is no sibling */
    WAIT_SET_PASSED = 2,        /* connections passed on at once by a worker that has no room */
    WAIT_SET_CANCELED = 64,     /* requests aborted in a row before they began; then it is closed */
    WAIT_SET_EVENTS = 16,       /* events taken with one call if only one thread waits */
};

/* The longest time that connections are accepted without a look at other events. */
#define WAIT_SET_ACCEPT_NS (10 * CLOCK_NS_PER_MS)

/* The longest time that a signal waits under full load. */
#define WAIT_SET_SIGNAL_NS (20 * CLOCK_NS_PER_MS)

/* A yield of at least this length shows that the cores are busy. */
#define WAIT_SET_BUSY_NS (CLOCK_NS_PER_MS / 10)

struct wait_set {
    bool used;
    int listen_fd; /* as the application knows it */
    struct listener listener;
    struct conn_lists conns;
    int wake_fd;  /* eventfd: a request is ready and its thread has other work */
    bool starved; /* descriptors or memory have run out; logged once */
    struct allowed_clients_report refused;
    bool stopping;  /* the listening socket is not watched any more */
    bool finishing; /* a thread waits for what was accepted and is not finished */
    _Atomic unsigned threads;
    pthread_mutex_t lock; /* of all that is not atomic and changes after the set was opened */
    struct epoll_event events[WAIT_SET_EVENTS]; /* [next_event, event_count) are not handled yet */
    int next_event;
    int event_count;
    struct keepalive_policy keepalive;
    struct keepalive_policy_skip accept_skip; /* of asking the listen queue without epoll */
    struct keepalive_policy_skip yield_skip;  /* of letting a client send what it is about to */
    uint64_t looked_at;                       /* clock_coarse_ns of `elsewhere` */
    enum worker_slot_room elsewhere;
    uint64_t nowhere_since;        /* no worker has had room from then on; 0 = one has */
    int handoff_fd;                /* watched for connections of siblings; -1 = none */
    uint64_t handoff_paused_until; /* connections of siblings are not watched; 0 = they are */
    uint64_t shut_until; /* the listening socket was shut down and is not watched; 0 = it is */
    bool shut_told;
    uint64_t alone_since;        /* it waits for room and has no sibling; 0 = it does not */
    _Atomic uint64_t last_wait;  /* clock_coarse_ns of the last epoll_pwait */
    _Atomic uint64_t last_sleep; /* of the last one that slept, so that signals came in */
};

enum {
    WAIT_SET_TAG_LISTENER = -1,
    WAIT_SET_TAG_STOP = -2,
    WAIT_SET_TAG_HANDOFF = -3,
    WAIT_SET_TAG_WAKE = -4
};

static struct wait_set wait_set_sets[WAIT_SET_SETS];
static pthread_mutex_t wait_set_sets_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct wait_set *wait_set_joined; /* the set that this thread waits in */

/* ---- requests that the application does not get ---- */

/* `status` is the HTTP status of the answer, 0 = none. */
static void wait_set_count_dropped(const struct conn *conn, unsigned status)
{
    struct ot_record *record = worker_slot_record();
    log_entry_dropped(record, worker_slot_number(record), status, conn->since, NULL);
}

static void wait_set_linger_locked(struct wait_set *w, struct conn *conn)
{
    struct conn_lists_list *lingering = &w->conns.in[CONN_LINGERING];
    conn_half_close(conn);
    if (conn_discard_input(conn) == CONN_CLOSED || !conn_lists_rewatch(&w->conns, conn)) {
        conn_lists_close(&w->conns, &conn);
        return;
    }
    if (lingering->count >= WAIT_SET_LINGERING) {
        struct conn *oldest = lingering->first;
        conn_lists_close(&w->conns, &oldest);
    }
    conn_lists_put(&w->conns, conn, CONN_LINGERING, WAIT_SET_LINGER_MS, 0);
}

/* True if the request may go to the application; otherwise it is answered, and the connection
 * lingers. */
static bool wait_set_acceptable(struct wait_set *w, struct conn *conn)
{
    const char *why = NULL;
    const char *http_status = NULL;
    enum frame_status status = FRAME_REQUEST_COMPLETE;
    if (conn->params_too_large) {
        why = "parameters exceed limit_params_size";
        http_status = "431 Request Header Fields Too Large";
    } else if (conn->frame.role < FRAME_ROLE_RESPONDER || conn->frame.role > FRAME_ROLE_FILTER) {
        why = "unknown FastCGI role";
        status = FRAME_UNKNOWN_ROLE;
    } else {
        return true;
    }
    diagnostics_write("pool %s: request refused: %s", worker_slot_pool(), why);
    wait_set_count_dropped(conn,
                           http_status != NULL ? (unsigned)strtoul(http_status, NULL, 10) : 0);
    conn_refuse(conn, http_status, status);
    wait_set_linger_locked(w, conn);
    return false;
}

/* ---- one connection's progress ---- */

/* Wakes a waiting thread, if there is another one. */
static void wait_set_wake(struct wait_set *w)
{
    uint64_t one = 1;
    if (atomic_load(&w->threads) > 1) {
        ssize_t n = write(w->wake_fd, &one, sizeof one);
        (void)n; /* if the counter is full, the thread wakes anyway */
    }
}

/* The request is for the next thread that waits, or for one that waits now. */
static void wait_set_ready(struct wait_set *w, struct conn *conn)
{
    conn_lists_put(&w->conns, conn, CONN_READY, 0, 0);
    wait_set_wake(w);
}

/* A request was aborted before the application had it; before its parameters were complete it has
 * been answered. False if the connection ends with it, as it does without `keep`. */
static bool wait_set_drop_canceled(struct wait_set *w, struct conn *conn, bool keep)
{
    diagnostics_write("pool %s: request refused: aborted by the web server before it began",
                      worker_slot_pool());
    wait_set_count_dropped(conn, 0);
    if (!conn->canceled) {
        bool kept = conn->frame.keep;
        conn_refuse(conn, NULL, FRAME_REQUEST_COMPLETE);
        conn->canceled_keep = conn_end_request(conn, 0) && kept;
    }
    conn->canceled = false;
    conn_lists_take(&w->conns, conn);
    if (!keep || !conn->canceled_keep || !conn_lists_watch(&w->conns, conn)) {
        wait_set_linger_locked(w, conn);
        return false;
    }
    conn_lists_put(&w->conns, conn, CONN_KEPT, worker_slot_settings()->keepalive_timeout, 0);
    return true;
}

/* Reads what has come. True if the request header is complete: the connection is then the caller's.
 */
static bool wait_set_progress(struct wait_set *w, struct conn *conn)
{
    const struct ot_settings *settings = worker_slot_settings();
    enum conn_result result = conn_fill(conn, (size_t)settings->limit_params_size);
    for (int count = 1; conn->canceled || (conn_has_header(conn) && conn->aborted); count++) {
        if (!wait_set_drop_canceled(w, conn, count < WAIT_SET_CANCELED))
            return false;
        result = conn_fill(conn, (size_t)settings->limit_params_size);
    }
    if (conn->params_too_large || conn_has_header(conn)) {
        if (conn->state == CONN_KEPT || conn->since == 0)
            conn->since = clock_ns();
        conn_lists_take(&w->conns, conn);
        conn->surplus = false;
        return wait_set_acceptable(w, conn);
    }
    if (result == CONN_CLOSED && conn->broken && conn->frame.phase == FRAME_PARAMS) {
        conn_lists_take(&w->conns, conn);
        diagnostics_write("pool %s: request refused: it violates the FastCGI protocol",
                          worker_slot_pool());
        wait_set_count_dropped(conn, 400);
        conn_refuse(conn, "400 Bad Request", FRAME_REQUEST_COMPLETE);
        wait_set_linger_locked(w, conn);
        return false;
    }
    if (result == CONN_CLOSED && !conn->broken && !conn->eof) {
        diagnostics_write("pool %s: connection closed: too much input after a response",
                          worker_slot_pool());
        conn_lists_take(&w->conns, conn);
        wait_set_linger_locked(w, conn);
        return false;
    }
    if (result == CONN_CLOSED) {
        if (conn->broken || conn->end > conn->start) {
            diagnostics_write("pool %s: connection closed: %s", worker_slot_pool(),
                              conn->broken ? "it does not speak FastCGI"
                                           : "it ended within a request header");
            wait_set_count_dropped(conn, 0);
        }
        conn_lists_close(&w->conns, &conn);
        return false;
    }

    /* The time for the header runs from the first byte on a kept connection, else from accept. What
     * began may have been the rest of the last request. */
    bool begun = conn->end > conn->start || conn->frame.phase != FRAME_NONE;
    enum conn_state state = begun || !conn->reused ? CONN_PENDING : CONN_KEPT;
    uint64_t since = conn->state == CONN_BUSY && state == CONN_PENDING ? conn->since : 0;
    /* Where input flows on there is no further edge: the turn of this connection comes again after
     * others, and after its time limit was looked at. */
    if (!(conn->socket_empty ? conn_lists_watch : conn_lists_rewatch)(&w->conns, conn))
        conn_lists_close(&w->conns, &conn);
    else if (conn->state != state)
        conn_lists_put(&w->conns, conn, state,
                       state == CONN_PENDING ? settings->request_header_timeout
                                             : settings->keepalive_timeout,
                       since);
    return false;
}

/* Closes the first idle kept connection, which cannot stay. If a request has begun on it, this
 * worker serves that. */
static void wait_set_close_kept(struct wait_set *w)
{
    struct conn *conn = w->conns.in[CONN_KEPT].first;
    if (!conn_has_input(conn) || !conn_lists_watch(&w->conns, conn))
        conn_lists_close(&w->conns, &conn);
    else if (wait_set_progress(w, conn))
        wait_set_ready(w, conn);
}

static void wait_set_close_all_kept(struct wait_set *w)
{
    while (w->conns.in[CONN_KEPT].first != NULL)
        wait_set_close_kept(w);
}

/* Is there a place from which another worker takes connections? */
static bool wait_set_can_pass_on(void)
{
    return conn_handoff_fd() >= 0 && worker_slot_siblings_take_over();
}

/* ---- accepting ---- */

/* Descriptors or memory have run out: gives up an idle kept connection, then pauses, as the
 * level-triggered listening socket would keep the thread spinning. */
static void wait_set_relieve(struct wait_set *w)
{
    (void)pthread_mutex_lock(&w->lock);
    if (!w->starved)
        diagnostics_error("pool %s: cannot accept connections: %s; raise rlimit_files",
                          worker_slot_pool(), strerror(errno));
    w->starved = true;
    size_t kept = w->conns.in[CONN_KEPT].count;
    if (wait_set_can_pass_on())
        conn_lists_pass_on_all(&w->conns, CONN_KEPT);
    if (kept > 0 && w->conns.in[CONN_KEPT].count == kept)
        wait_set_close_kept(w);
    (void)pthread_mutex_unlock(&w->lock);
    (void)poll(NULL, 0, WAIT_SET_PAUSE_MS);
}

/* Takes in a new connection. */
static enum wait_set_result wait_set_admit(struct wait_set *w, struct conn *conn, struct conn **out)
{
    conn->wait_set = w;
    (void)pthread_mutex_lock(&w->lock);
    bool ready = wait_set_progress(w, conn);
    (void)pthread_mutex_unlock(&w->lock);
    *out = conn;
    return ready ? WAIT_SET_REQUEST : WAIT_SET_NONE;
}

static void wait_set_count_refused(struct wait_set *w, const char *client)
{
    struct ot_record *record = worker_slot_record();
    uint64_t more = 0;
    record_begin(&record->change);
    record->refused_clients++;
    record_end(&record->change);
    (void)pthread_mutex_lock(&w->lock);
    bool due = allowed_clients_report(&w->refused, clock_coarse_ns(), &more);
    (void)pthread_mutex_unlock(&w->lock);
    if (due && more == 0)
        diagnostics_write("pool %s: connection from %s refused: `listen.allowed_clients` does not "
                          "list it",
                          worker_slot_pool(), client);
    else if (due)
        diagnostics_write("pool %s: connection from %s refused: `listen.allowed_clients` does not "
                          "list it; %" PRIu64 " more were refused since this was last said",
                          worker_slot_pool(), client, more);
}

/* A sibling has shut the listening socket down, for all that share it. The manager has it listen
 * again, or replaces the workers: until then connections that are kept or passed on are served. */
__attribute__((cold)) static enum wait_set_result wait_set_leave_shut(struct wait_set *w)
{
    if (worker_slot_capacity() == 0) {
        errno = EINVAL; /* there is no manager */
        return WAIT_SET_FAILED;
    }
    (void)pthread_mutex_lock(&w->lock);
    bool told = w->shut_told;
    w->shut_told = true;
    (void)epoll_ctl(w->conns.epfd, EPOLL_CTL_DEL, w->listener.fd, NULL);
    w->shut_until = clock_ns() + WAIT_SET_SHUT_MS * CLOCK_NS_PER_MS;
    (void)pthread_mutex_unlock(&w->lock);
    if (!told)
        diagnostics_write("pool %s: a worker has shut down the listening socket: this one accepts "
                          "no more until the manager has mended that",
                          worker_slot_pool());
    return WAIT_SET_NONE;
}

static enum wait_set_result wait_set_accept(struct wait_set *w, struct conn **out)
{
    struct conn *conn = NULL;
    char client[LISTENER_CLIENT_SIZE];
    switch (listener_accept(&w->listener, &conn, client)) {
    case LISTENER_CONN:
        w->starved = false;
        /* A client that has just connected sends at once, unless our own wake-up has interrupted
         * it. If all cores are busy, yielding to it costs less than watching its connection and
         * another wake-up. A yield longer than 0.1 ms shows that the cores were busy and yielding
         * was right; otherwise sleeping in epoll would have been better. */
        if (keepalive_policy_try(&w->yield_skip) &&
            conn_fill(conn, (size_t)worker_slot_settings()->limit_params_size) == CONN_AGAIN) {
            uint64_t before = clock_ns();
            (void)sched_yield();
            keepalive_policy_tried(&w->yield_skip, clock_ns() - before >= WAIT_SET_BUSY_NS);
        }
        return wait_set_admit(w, conn, out);
    case LISTENER_REFUSED:
        wait_set_count_refused(w, client);
        return WAIT_SET_NONE;
    case LISTENER_STARVED:
        wait_set_relieve(w);
        return WAIT_SET_NONE;
    case LISTENER_SHUT:
        return wait_set_leave_shut(w);
    case LISTENER_NONE:
        return WAIT_SET_NONE;
    case LISTENER_FAILED:
    default:
        return WAIT_SET_FAILED;
    }
}

/* Under load the listen queue is never empty, and asking it directly saves the wait; other events
 * are not neglected for longer than WAIT_SET_ACCEPT_NS. */
static enum wait_set_result wait_set_accept_directly(struct wait_set *w, struct conn **out)
{
    if (!keepalive_policy_try(&w->accept_skip) ||
        w->conns.in[CONN_KEPT].count + w->conns.in[CONN_PENDING].count != 0 ||
        clock_coarse_ns() >=
            atomic_load_explicit(&w->last_wait, memory_order_relaxed) + WAIT_SET_ACCEPT_NS)
        return WAIT_SET_NONE;
    *out = NULL;
    enum wait_set_result result = wait_set_accept(w, out);
    keepalive_policy_tried(&w->accept_skip, *out != NULL);
    return result;
}

/* ---- idle kept connections ---- */

/* Where there is room for one more. A worker holds keepalive_max of them; more go to siblings that
 * hold fewer. */
static enum worker_slot_room wait_set_room(struct wait_set *w, unsigned kept)
{
    uint64_t max = worker_slot_settings()->keepalive_max;
    if (kept < max) {
        w->nowhere_since = 0;
        return WORKER_SLOT_ROOM_HERE;
    }
    /* A look at many slots takes long, and holds for the tick of the coarse clock. */
    uint64_t tick = clock_coarse_ns();
    if (w->looked_at != tick)
        w->elsewhere = worker_slot_room_elsewhere(max);
    w->looked_at = tick;
    if (w->elsewhere != WORKER_SLOT_ROOM_NONE)
        w->nowhere_since = 0;
    else if (w->nowhere_since == 0)
        w->nowhere_since = tick;
    return w->elsewhere;
}

/* Between two requests; input of the next one may have been read. A surplus connection stays for a
 * moment only. */
static void wait_set_put_kept(struct wait_set *w, struct conn *conn, bool surplus)
{
    int64_t timeout = worker_slot_settings()->keepalive_timeout;
    conn->surplus = surplus;
    if (surplus && (timeout == 0 || timeout > WAIT_SET_SURPLUS_MS))
        timeout = WAIT_SET_SURPLUS_MS;
    conn_lists_put(&w->conns, conn, CONN_KEPT, timeout, 0);
    /* Another thread may have taken the edge that announced more input, or the last read. */
    if ((conn->end > conn->start || !conn->socket_empty || conn->peer_ends ||
         atomic_load(&w->threads) > 1) &&
        wait_set_progress(w, conn))
        wait_set_ready(w, conn);
}

/* Keeps a connection for its next request. If siblings have room and this worker has not, they get
 * those that have been idle for longest. */
static void wait_set_keep(struct wait_set *w, struct conn *conn)
{
    struct conn_lists_list *kept = &w->conns.in[CONN_KEPT];
    (void)pthread_mutex_lock(&w->lock);
    enum worker_slot_room room = wait_set_room(w, kept->count);
    if (!conn_lists_watch(&w->conns, conn)) {
        conn_lists_close(&w->conns, &conn);
    } else {
        wait_set_put_kept(w, conn, room == WORKER_SLOT_ROOM_NONE);
        if (room == WORKER_SLOT_ROOM_NOW)
            conn_lists_pass_on_first(&w->conns, CONN_KEPT, WAIT_SET_PASSED);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

bool wait_set_has_room(const struct conn *conn)
{
    struct wait_set *w = conn->wait_set;
    unsigned kept = w->conns.in[CONN_KEPT].count;
    if (kept < worker_slot_settings()->keepalive_max)
        return true;
    (void)pthread_mutex_lock(&w->lock);
    /* Workers that are being replaced have no room for a moment. */
    bool room = wait_set_room(w, kept) != WORKER_SLOT_ROOM_NONE ||
                clock_coarse_ns() < w->nowhere_since + WAIT_SET_SURPLUS_MS * CLOCK_NS_PER_MS;
    (void)pthread_mutex_unlock(&w->lock);
    return room;
}

/* ---- connections of siblings ---- */

static bool wait_set_watch(const struct wait_set *w, int fd, int32_t tag, uint32_t events)
{
    struct epoll_event event = {.events = events};
    event.data.u64 = (uint32_t)tag;
    return epoll_ctl(w->conns.epfd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Takes connections of siblings again, after all others that do: the kernel wakes the worker that
 * has watched for longest, which would otherwise collect all of them. */
static bool wait_set_watch_handoff(struct wait_set *w)
{
    w->handoff_paused_until = 0;
    w->handoff_fd = conn_handoff_fd();
    return wait_set_watch(w, w->handoff_fd, WAIT_SET_TAG_HANDOFF, EPOLLIN | EPOLLEXCLUSIVE);
}

static bool wait_set_watch_listener(struct wait_set *w)
{
    w->shut_until = 0;
    return wait_set_watch(w, w->listener.fd, WAIT_SET_TAG_LISTENER, EPOLLIN | EPOLLEXCLUSIVE);
}

static enum wait_set_result wait_set_receive(struct wait_set *w, struct conn **out)
{
    bool idle = false, leaving = false;
    struct conn *conn = conn_handoff_receive(&idle, &leaving);
    if (conn == NULL) {
        if (conn_handoff_fd() < 0)
            (void)epoll_ctl(w->conns.epfd, EPOLL_CTL_DEL, w->handoff_fd, NULL);
        return WAIT_SET_NONE;
    }
    if (idle && conn_next_request_begun(conn)) {
        conn->since = 0; /* when it came is not known */
        idle = false;
    }
    if (!idle)
        return wait_set_admit(w, conn, out);
    conn->wait_set = w;
    (void)pthread_mutex_lock(&w->lock);
    if (leaving)
        keepalive_policy_expect_slow(&w->keepalive, clock_coarse_ns());
    enum worker_slot_room room = wait_set_room(w, w->conns.in[CONN_KEPT].count);
    (void)epoll_ctl(w->conns.epfd, EPOLL_CTL_DEL, w->handoff_fd, NULL);
    /* If this worker has no room for the connection, but another one that waits has, it goes back,
     * and this worker looks away for a moment. If only busy workers have room, this one is the
     * first that can serve its next request, and keeps it beyond its share. */
    if (room == WORKER_SLOT_ROOM_NOW && conn_handoff_send(&conn, true, leaving)) {
        w->handoff_paused_until = clock_ns() + WAIT_SET_LOOK_AWAY_MS * CLOCK_NS_PER_MS;
    } else {
        if (conn_lists_watch(&w->conns, conn))
            wait_set_put_kept(w, conn, room == WORKER_SLOT_ROOM_NONE);
        else
            conn_lists_close(&w->conns, &conn);
        (void)wait_set_watch_handoff(w);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return WAIT_SET_NONE;
}

/* ---- time ---- */

static void wait_set_expire_one(struct wait_set *w, struct conn *conn)
{
    enum conn_state state = conn->state;
    /* The worker may have been busy for long: input that has come meanwhile counts. */
    if (state == CONN_PENDING || (state == CONN_KEPT && conn_has_input(conn))) {
        if (wait_set_progress(w, conn)) {
            wait_set_ready(w, conn);
            return;
        }
        if (w->conns.in[state].first != conn)
            return; /* closed, or a header has begun */
    }
    if (state == CONN_KEPT && conn->surplus &&
        wait_set_room(w, w->conns.in[CONN_KEPT].count - 1) != WORKER_SLOT_ROOM_NONE) {
        conn->surplus = false;
        conn_lists_put(&w->conns, conn, CONN_KEPT, worker_slot_settings()->keepalive_timeout,
                       conn->since);
        return;
    }
    if (state == CONN_PENDING) {
        diagnostics_write(
            "pool %s: connection closed: no whole request header within request_header_timeout",
            worker_slot_pool());
        wait_set_count_dropped(conn, 0);
    }
    conn_lists_close(&w->conns, &conn);
}

/* Watches again what was not watched for a time. Returns the earlier of `next` and the end of such
 * a time. */
__attribute__((cold)) static uint64_t wait_set_watch_again(struct wait_set *w, uint64_t next,
                                                           uint64_t now)
{
    if (w->handoff_paused_until != 0 && now >= w->handoff_paused_until)
        (void)wait_set_watch_handoff(w);
    if (w->shut_until != 0 && now >= w->shut_until && !w->stopping)
        (void)wait_set_watch_listener(w);
    next = clock_earlier(next, w->handoff_paused_until);
    return w->stopping ? next : clock_earlier(next, w->shut_until);
}

/* Closes connections that have waited too long. Returns the time to the next deadline as poll()
 * takes it. */
static int wait_set_expire(struct wait_set *w)
{
    /* Kept ones first: those on which a header has begun become pending, with a time of its own. */
    static const enum conn_state timed[] = {CONN_KEPT, CONN_PENDING, CONN_LINGERING};
    uint64_t next = 0;
    uint64_t now = 0;
    for (size_t i = 0; i < sizeof timed / sizeof timed[0]; i++) {
        struct conn *conn = NULL;
        while ((conn = w->conns.in[timed[i]].first) != NULL && conn->deadline != 0) {
            if (now == 0)
                now = clock_ns();
            if (conn->deadline > now) {
                next = clock_earlier(next, conn->deadline);
                break;
            }
            wait_set_expire_one(w, conn);
        }
    }
    if ((w->handoff_paused_until | w->shut_until) != 0)
        next = wait_set_watch_again(w, next, now = clock_ns());
    return clock_timeout_ms(next, now);
}

/* ---- waiting ---- */

static bool wait_set_pop_ready(struct wait_set *w, struct conn **out)
{
    *out = w->conns.in[CONN_READY].first;
    if (*out != NULL)
        conn_lists_take(&w->conns, *out);
    return *out != NULL;
}

/* Input has come, or the end of it. True if a request header is complete. */
static bool wait_set_input(struct wait_set *w, struct conn *conn)
{
    if (conn->state != CONN_LINGERING)
        return (conn->state == CONN_KEPT || conn->state == CONN_PENDING) &&
               wait_set_progress(w, conn);
    enum conn_result result = conn_discard_input(conn);
    if (result == CONN_CLOSED || (result == CONN_OK && !conn_lists_rewatch(&w->conns, conn)))
        conn_lists_close(&w->conns, &conn);
    return false;
}

/* After each wait, or instead of one (`events` > 0). If for long none has slept, signals are taken
 * in now: the kernel reports events before signals. Keeps errno. */
static void wait_set_note_wait(struct wait_set *w, uint64_t before, int events)
{
    int saved = errno;
    uint64_t now = clock_coarse_ns();
    atomic_store_explicit(&w->last_wait, now, memory_order_relaxed);
    if (now != before || events <= 0) {
        atomic_store_explicit(&w->last_sleep, now, memory_order_relaxed);
    } else if (now - atomic_load_explicit(&w->last_sleep, memory_order_relaxed) >
               WAIT_SET_SIGNAL_NS) {
        graceful_stop_poll();
        atomic_store_explicit(&w->last_sleep, now, memory_order_relaxed);
    }
    errno = saved;
}

/* The next event: one that was taken before, else one of the kernel's. 1 with an event, 0 after the
 * timeout, -1 with errno. Releases the lock while it waits. */
static int wait_set_next_event(struct wait_set *w, int timeout, struct epoll_event *event)
{
    struct epoll_event events[WAIT_SET_EVENTS];
    if (w->next_event < w->event_count) {
        *event = w->events[w->next_event++];
        wait_set_note_wait(w, clock_coarse_ns(), 1);
        if (w->next_event < w->event_count)
            wait_set_wake(w);
        return 1;
    }
    (void)pthread_mutex_unlock(&w->lock);
    worker_slot_state(OT_STATE_IDLE);
    uint64_t before = clock_coarse_ns();
    /* With several threads each takes one event: others would wait for this thread's request. */
    int max = atomic_load(&w->threads) == 1 ? WAIT_SET_EVENTS : 1;
    timeout = timer_before_wait(timeout, before);
    int n = epoll_pwait(w->conns.epfd, events, max, timeout, graceful_stop_wait_mask());
    wait_set_note_wait(w, before, n);
    (void)pthread_mutex_lock(&w->lock);
    if (n <= 0)
        return n;
    *event = events[0];
    if (n > 1) {
        memcpy(w->events, events + 1, (size_t)(n - 1) * sizeof *events);
        w->next_event = 0;
        w->event_count = n - 1;
        wait_set_wake(w); /* a thread that has joined since may have nothing else to wake it */
    }
    return 1;
}

/* Waits for one event and handles it. */
static enum wait_set_result wait_set_turn(struct wait_set *w, bool tell_interrupts,
                                          struct conn **out)
{
    struct epoll_event event = {.events = 0};
    (void)pthread_mutex_lock(&w->lock);
    int timeout = wait_set_expire(w);
    bool ready = wait_set_pop_ready(w, out);
    int n = ready ? 0 : wait_set_next_event(w, timeout, &event);
    if (n > 0 && (int32_t)event.data.u64 >= 0) {
        struct conn *conn = conn_lists_find(event.data.u64);
        if (conn != NULL && conn->wait_set == w) {
            /* No other event follows, so a short read must not be taken for the last. */
            if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
                conn->peer_ends = true;
            *out = conn;
            ready = wait_set_input(w, conn);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (ready)
        return WAIT_SET_REQUEST;
    if (n > 0 && (int32_t)event.data.u64 == WAIT_SET_TAG_LISTENER)
        return wait_set_accept(w, out);
    if (n > 0 && (int32_t)event.data.u64 == WAIT_SET_TAG_HANDOFF)
        return wait_set_receive(w, out);
    if (n >= 0 || (errno == EINTR && (graceful_stop_requested() || !tell_interrupts)))
        return WAIT_SET_NONE;
    return errno == EINTR ? WAIT_SET_INTERRUPTED : WAIT_SET_FAILED;
}

/* ---- stopping ---- */

/* Waits for connections that are not finished: incomplete headers, lingering ones, idle ones that
 * no sibling can take yet. For at most `max_ms`. */
static void wait_set_poll_unfinished(struct wait_set *w, int max_ms)
{
    static const enum conn_state unfinished[] = {CONN_PENDING, CONN_LINGERING, CONN_KEPT};
    struct pollfd fds[WAIT_SET_POLLED];
    uint32_t serials[WAIT_SET_POLLED];
    nfds_t count = 0;
    (void)pthread_mutex_lock(&w->lock);
    int timeout = wait_set_expire(w);
    for (size_t i = 0; i < sizeof unfinished / sizeof unfinished[0]; i++)
        for (struct conn *c = w->conns.in [unfinished[i]].first;
             c != NULL && count < WAIT_SET_POLLED; c = c->next) {
            serials[count] = c->serial;
            fds[count++] = (struct pollfd){.fd = c->fd, .events = POLLIN | POLLRDHUP};
        }
    (void)pthread_mutex_unlock(&w->lock);
    if (timeout < 0 || timeout > max_ms)
        timeout = max_ms;
    if (count == 0 || poll(fds, count, timeout) <= 0)
        return;
    (void)pthread_mutex_lock(&w->lock);
    for (nfds_t i = 0; i < count; i++) {
        struct conn *conn = fds[i].revents != 0 ? conn_find(fds[i].fd) : NULL;
        if (conn == NULL || conn->serial != serials[i])
            continue;
        if (wait_set_input(w, conn))
            wait_set_ready(w, conn);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* Gives up the listening socket: the kernel wakes other workers for what comes next. One connection
 * may wait for the very wake-up that the signal has replaced; and if the whole pool closes its
 * socket, no other worker serves the queue. True with a request. Otherwise the socket is closed, or
 * nothing can be accepted before something else is finished. */
static bool wait_set_accept_last(struct wait_set *w, bool first, struct conn **out)
{
    struct pollfd queue = {.fd = w->listener.fd, .events = POLLIN};
    enum wait_set_result result = WAIT_SET_NONE;
    if (first)
        (void)epoll_ctl(w->conns.epfd, EPOLL_CTL_DEL, w->listener.fd, NULL);
    if (first && (graceful_stop_by_signal() || atomic_load(&w->threads) > 1))
        result = wait_set_accept(w, out);
    while (result == WAIT_SET_NONE && worker_slot_last_drain() && poll(&queue, 1, 0) == 1 &&
           (queue.revents & POLLIN) != 0) {
        result = wait_set_accept(w, out);
        if (result == WAIT_SET_NONE && w->starved)
            return false;
        if (w->shut_until != 0)
            break;
    }
    if (result != WAIT_SET_REQUEST || !worker_slot_last_drain())
        listener_close(&w->listener);
    return result == WAIT_SET_REQUEST;
}

/* If the last workers of a pool stop, what one of them has passed on finds no sibling: it takes
 * that back. */
static void wait_set_take_back(struct wait_set *w)
{
    struct conn *conn = NULL;
    bool idle = false, leaving = false;
    while (!worker_slot_siblings_take_over() && conn_handoff_fd() >= 0 &&
           (conn = conn_handoff_receive(&idle, &leaving)) != NULL) {
        conn->wait_set = w;
        if (idle && !conn_next_request_begun(conn))
            conn_lists_close(&w->conns, &conn);
        else if (wait_set_progress(w, conn))
            wait_set_ready(w, conn);
    }
}

/* Gives the idle kept connections to siblings. Those for which there is no room stay: this worker
 * waits for room and serves them meanwhile. If the whole pool stops, or no worker is left to make
 * room, they are closed. */
static void wait_set_leave_kept(struct wait_set *w)
{
    bool pass_on = wait_set_can_pass_on();
    if (pass_on)
        conn_lists_pass_on_all(&w->conns, CONN_KEPT);
    if (w->conns.in[CONN_KEPT].first == NULL) {
        w->alone_since = 0;
        return;
    }
    if (pass_on && (graceful_stop_by_signal() || worker_slot_has_siblings())) {
        w->alone_since = 0;
    } else if (pass_on && w->alone_since == 0) {
        w->alone_since = clock_ns();
    } else if (!pass_on || clock_ns() > w->alone_since + WAIT_SET_ALONE_MS * CLOCK_NS_PER_MS) {
        wait_set_close_all_kept(w);
    }
}

/* Every thread takes requests that are ready; one of them waits for unfinished connections. */
static enum wait_set_result wait_set_drain(struct wait_set *w, struct conn **out)
{
    (void)pthread_mutex_lock(&w->lock);
    bool first = !w->stopping;
    w->stopping = true;
    (void)pthread_mutex_unlock(&w->lock);
    for (;; first = false) {
        if ((first || w->listener.fd >= 0) && wait_set_accept_last(w, first, out))
            return WAIT_SET_REQUEST;
        (void)pthread_mutex_lock(&w->lock);
        wait_set_leave_kept(w);
        wait_set_take_back(w);
        bool ready = wait_set_pop_ready(w, out);
        bool room = w->conns.in[CONN_KEPT].first == NULL;
        bool done = w->finishing || (room && w->conns.in[CONN_PENDING].first == NULL &&
                                     w->conns.in[CONN_LINGERING].first == NULL);
        w->finishing = w->finishing || !(ready || done);
        (void)pthread_mutex_unlock(&w->lock);
        if (ready)
            return WAIT_SET_REQUEST;
        if (done)
            return WAIT_SET_DRAINED;
        if (!room)
            worker_slot_state(OT_STATE_EXITING);
        wait_set_poll_unfinished(w, room ? INT_MAX : WAIT_SET_PAUSE_MS);
        (void)pthread_mutex_lock(&w->lock);
        w->finishing = false;
        (void)pthread_mutex_unlock(&w->lock);
    }
}

void wait_set_exit(void)
{
    for (size_t i = 0; i < WAIT_SET_SETS; i++) {
        struct wait_set *w = &wait_set_sets[i];
        if (!w->used)
            continue;
        /* Closing with unread input would take the end of the response away from the client. */
        uint64_t deadline = clock_ns() + WAIT_SET_EXIT_MS * CLOCK_NS_PER_MS;
        for (;;) {
            (void)pthread_mutex_lock(&w->lock);
            if (wait_set_can_pass_on())
                conn_lists_pass_on_all(&w->conns, CONN_KEPT);
            else
                wait_set_close_all_kept(w);
            conn_lists_pass_on_all(&w->conns, CONN_READY);
            conn_lists_pass_on_all(&w->conns, CONN_PENDING);
            (void)pthread_mutex_unlock(&w->lock);
            if (w->conns.in[CONN_LINGERING].count + w->conns.in[CONN_KEPT].count == 0 ||
                clock_ns() >= deadline)
                break;
            wait_set_poll_unfinished(w, WAIT_SET_PAUSE_MS);
        }
    }
}

/* ---- setting up ---- */

static bool wait_set_open(struct wait_set *w, int listen_fd, const char *addresses)
{
    int stop_fd = graceful_stop_fd();
    memset(w, 0, sizeof *w);
    if (!listener_open(&w->listener, listen_fd, addresses))
        return false;
    conn_set_capacity(worker_slot_capacity);
    (void)pthread_mutex_init(&w->lock, NULL);
    w->listen_fd = listen_fd;
    w->conns.leaving = graceful_stop_requested;
    w->conns.epfd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->used = w->conns.epfd >= 0 && w->wake_fd >= 0 && wait_set_watch_listener(w) &&
              wait_set_watch(w, w->wake_fd, WAIT_SET_TAG_WAKE, EPOLLIN | EPOLLET) &&
              (stop_fd < 0 || wait_set_watch(w, stop_fd, WAIT_SET_TAG_STOP, EPOLLIN)) &&
              (conn_handoff_fd() < 0 || wait_set_watch_handoff(w));
    return w->used;
}

static struct wait_set *wait_set_find(int listener)
{
    for (size_t i = 0; i < WAIT_SET_SETS; i++)
        if (wait_set_sets[i].used && wait_set_sets[i].listen_fd == listener)
            return &wait_set_sets[i];
    return NULL;
}

bool wait_set_has(int listener)
{
    (void)pthread_mutex_lock(&wait_set_sets_lock);
    bool has = wait_set_find(listener) != NULL;
    (void)pthread_mutex_unlock(&wait_set_sets_lock);
    return has;
}

/* The listening socket's set, opened if this is its first thread. NULL with errno. */
static struct wait_set *wait_set_join(int listener, const char *addresses)
{
    if (wait_set_joined != NULL && wait_set_joined->listen_fd == listener)
        return wait_set_joined;
    graceful_stop_start();
    (void)pthread_mutex_lock(&wait_set_sets_lock);
    struct wait_set *w = wait_set_find(listener);
    if (w == NULL) {
        errno = EMFILE;
        for (size_t i = 0; i < WAIT_SET_SETS && w == NULL; i++)
            if (!wait_set_sets[i].used)
                w = &wait_set_sets[i];
        const char *clients = getenv(OT_CLIENTS_ENV);
        if (w != NULL && !wait_set_open(w, listener, clients != NULL ? clients : addresses))
            w = NULL;
    }
    if (w != NULL)
        atomic_fetch_add(&w->threads, 1);
    (void)pthread_mutex_unlock(&wait_set_sets_lock);
    wait_set_joined = w;
    return w;
}

/* ---- for libfcgi.c and request.c ---- */

enum wait_set_result wait_set_next(int listener, const char *addresses, bool tell_interrupts,
                                   struct conn **conn)
{
    enum wait_set_result result = WAIT_SET_NONE;
    struct wait_set *w = wait_set_join(listener, addresses);
    if (w == NULL)
        return WAIT_SET_FAILED;
    if (atomic_load_explicit(&w->keepalive.began, memory_order_relaxed) != 0)
        keepalive_policy_end(&w->keepalive, clock_coarse_ns());
    while (result == WAIT_SET_NONE) {
        graceful_stop_look();
        if (graceful_stop_requested())
            return wait_set_drain(w, conn);
        result = wait_set_accept_directly(w, conn);
        if (result == WAIT_SET_NONE && !graceful_stop_requested())
            result = wait_set_turn(w, tell_interrupts, conn);
        if (result == WAIT_SET_FAILED && graceful_stop_requested())
            result = WAIT_SET_NONE; /* another thread has closed the listening socket */
    }
    if (result != WAIT_SET_REQUEST || graceful_stop_requested() || atomic_load(&w->threads) != 1)
        return result;
    /* A request begins: connections that were accepted too must not wait for its end if a sibling
     * is free. */
    size_t kept = w->conns.in[CONN_KEPT].count;
    bool pass_kept = kept > 0 && worker_slot_siblings() &&
                     keepalive_policy_begin(&w->keepalive, clock_coarse_ns(), kept);
    if (!pass_kept && w->conns.in[CONN_PENDING].count + w->conns.in[CONN_READY].count == 0)
        return result;
    (void)pthread_mutex_lock(&w->lock);
    conn_lists_pass_on_all(&w->conns, CONN_READY);
    conn_lists_pass_on_all(&w->conns, CONN_PENDING);
    if (pass_kept)
        conn_lists_pass_on_all(&w->conns, CONN_KEPT);
    (void)pthread_mutex_unlock(&w->lock);
    return result;
}

bool wait_set_hands_over(void)
{
    return conn_handoff_fd() >= 0;
}

void wait_set_hand_over(struct conn **conn)
{
    struct conn *c = *conn;
    struct wait_set *w = c->wait_set;
    *conn = NULL;
    (void)pthread_mutex_lock(&w->lock);
    bool idle = c->frame.phase == FRAME_NONE && c->end == c->start;
    if (!conn_lists_pass_on(&w->conns, &c, idle) && conn_lists_watch(&w->conns, c))
        wait_set_put_kept(w, c, false);
    else if (c != NULL)
        conn_lists_close(&w->conns, &c);
    (void)pthread_mutex_unlock(&w->lock);
}

void wait_set_close(struct conn **conn)
{
    struct wait_set *w = (*conn)->wait_set;
    (void)pthread_mutex_lock(&w->lock);
    conn_lists_close(&w->conns, conn);
    (void)pthread_mutex_unlock(&w->lock);
}

void wait_set_linger(struct conn **conn)
{
    struct wait_set *w = (*conn)->wait_set;
    (void)pthread_mutex_lock(&w->lock);
    wait_set_linger_locked(w, *conn);
    (void)pthread_mutex_unlock(&w->lock);
    *conn = NULL;
}

void wait_set_end_request(struct conn **conn, bool keep, uint64_t announced)
{
    struct conn *c = *conn;
    bool complete = conn_input_complete(c) || c->disconnected || c->eof;
    bool clean = conn_end_request(c, announced);
    if (keep && ((clean && !c->surplus) || conn_next_request_begun(c))) {
        if (c->last_write)
            conn_flush(c);
        c->last_write = false;
        *conn = NULL;
        wait_set_keep(c->wait_set, c);
    } else if (complete) {
        wait_set_close(conn);
    } else {
        wait_set_linger(conn);
    }
}

void wait_set_release_idle(const struct conn *of)
{
    struct wait_set *w = of->wait_set;
    (void)pthread_mutex_lock(&w->lock);
    if (wait_set_hands_over())
        conn_lists_pass_on_all(&w->conns, CONN_KEPT);
    else
        wait_set_close_all_kept(w);
    (void)pthread_mutex_unlock(&w->lock);
}

void wait_set_after_fork(void)
{
    for (size_t i = 0; i < WAIT_SET_SETS; i++) {
        struct wait_set *w = &wait_set_sets[i];
        if (!w->used)
            continue;
        for (int state = 0; state < CONN_STATES; state++)
            for (struct conn *c = w->conns.in[state].first; c != NULL; c = c->next)
                (void)close(c->fd);
        (void)close(w->conns.epfd);
        (void)close(w->wake_fd);
        listener_close(&w->listener);
        memset(w, 0, sizeof *w);
    }
    (void)pthread_mutex_init(&wait_set_sets_lock, NULL);
    wait_set_joined = NULL;
}
