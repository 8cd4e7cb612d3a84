/* wait_set.c: see wait_set.h.
 *
 * Connections stay watched while they are served, so that a kept connection costs no epoll_ctl per
 * request; edge-triggered, or a body that arrives would wake threads that wait.
 */
#include "sapi-shim/connection/wait_set.h"

#include "sapi-shim/access_log/log_entry.h"
#include "sapi-shim/connection/conn_handoff.h"
#include "sapi-shim/connection/conn_lists.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/connection/keepalive_policy.h"
#include "sapi-shim/connection/listener.h"
#include "sapi-shim/connection/luck.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WAIT_SET_PARK_TIME (2000 * CLOCK_NS_PER_MS) /* longest stay of a parked connection */
#define WAIT_SET_LEAVE_TIME                                                                        \
    (500 * CLOCK_NS_PER_MS) /* for those that are parked when the process ends */
#define WAIT_SET_EAGER_TIME                                                                        \
    (10 * CLOCK_NS_PER_MS) /* how long accept may go on without a look at the rest */
#define WAIT_SET_SIGNAL_TIME                                                                       \
    (20 * CLOCK_NS_PER_MS) /* how long signals may go unseen under full load */
#define WAIT_SET_BUSY_TIME                                                                         \
    (CLOCK_NS_PER_MS / 10)      /* a yield that takes longer says that cores are busy              \
                                 */
#define WAIT_SET_SHORT_PAUSE 20 /* ms, when descriptors or memory have run out */

enum {
    WAIT_SET_SETS = 8,          /* listening sockets per process */
    WAIT_SET_PARKED_MAX = 64,   /* more than that and the oldest is closed */
    WAIT_SET_LINGER_MAX = 1024, /* connections looked after while draining */
    WAIT_SET_BATCH = 16,        /* events taken with one call, where one thread waits */
};

struct wait_set {
    bool used;
    int asked; /* the descriptor as the application names it */
    struct listener listener;
    struct conn_lists places;
    int nudge;    /* eventfd: a request became ready while its thread has other work */
    bool starved; /* descriptors or memory ran out: said once */
    pthread_mutex_t lock;
    struct epoll_event seen[WAIT_SET_BATCH]; /* [next, count) are still to be acted upon */
    int seen_next;
    int seen_count;
    struct luck queue;       /* in asking the listen queue directly */
    struct luck client;      /* in letting a client send what it is about to */
    _Atomic uint64_t looked; /* clock_coarse_ns of the last epoll_pwait */
    _Atomic uint64_t
        blocked; /* clock_coarse_ns of the last one that lasted, so that signals came in */
    _Atomic unsigned threads;
    struct keepalive_policy share;
    bool draining;  /* no wake-up for the listening socket is wanted any more */
    bool lingering; /* a thread waits for what was accepted and is not finished */
};

enum {
    WAIT_SET_TAG_LISTENER = -1,
    WAIT_SET_TAG_DRAIN = -2,
    WAIT_SET_TAG_HANDOFF = -3,
    WAIT_SET_TAG_NUDGE = -4
};

static struct wait_set wait_set_sets[WAIT_SET_SETS];
static pthread_mutex_t wait_set_sets_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local const struct wait_set *wait_set_joined;

/* ---- requests that the application will not see ---- */

/* `status` is what the peer was answered, 0 for nothing; `conn` is NULL where there is none yet. */
static void wait_set_count_dropped(const struct conn *conn, unsigned status)
{
    struct ot_record *record = worker_slot_record();
    log_entry_dropped(record, worker_slot_number(record), status, conn != NULL ? conn->since : 0,
                      NULL);
}

static void wait_set_linger_locked(struct wait_set *w, struct conn *conn)
{
    struct conn_lists_list *parked = &w->places.lists[CONN_LINGERING];
    conn_half_close(conn);
    if (conn_discard_input(conn) == CONN_CLOSED || !conn_lists_rewatch(&w->places, conn)) {
        conn_lists_drop(&w->places, &conn);
        return;
    }
    if (parked->count >= WAIT_SET_PARKED_MAX) {
        struct conn *oldest = parked->first;
        conn_lists_drop(&w->places, &oldest);
    }
    conn_lists_move(&w->places, conn, CONN_LINGERING, WAIT_SET_PARK_TIME);
}

static void wait_set_refuse(struct wait_set *w, struct conn *conn, const char *why,
                            const char *http_status, enum frame_status status)
{
    diagnostics_write("pool %s: request refused: %s", worker_slot_pool(), why);
    wait_set_count_dropped(conn,
                           http_status != NULL ? (unsigned)strtoul(http_status, NULL, 10) : 0);
    conn_refuse(conn, http_status, status);
    wait_set_linger_locked(w, conn);
}

/* True if the request may go to the application; otherwise it is answered and gone. */
static bool wait_set_acceptable(struct wait_set *w, struct conn *conn)
{
    if (conn->params_too_large) {
        wait_set_refuse(w, conn, "parameters exceed limit_params_size",
                        "431 Request Header Fields Too Large", FRAME_REQUEST_COMPLETE);
        return false;
    }
    if (conn->frame.role < 1 || conn->frame.role > 3) {
        wait_set_refuse(w, conn, "unknown FastCGI role", NULL, FRAME_UNKNOWN_ROLE);
        return false;
    }
    if (conn->aborted) {
        wait_set_refuse(w, conn, "aborted by the web server before it began", NULL,
                        FRAME_REQUEST_COMPLETE);
        return false;
    }
    return true;
}

/* ---- one connection's progress ---- */

/* There is something to do for a thread that waits, if there is one. */
static void wait_set_nudge(struct wait_set *w)
{
    uint64_t one = 1;
    if (atomic_load(&w->threads) > 1) {
        ssize_t n = write(w->nudge, &one, sizeof one);
        (void)n; /* full means that it wakes anyway */
    }
}

/* A request is there for whichever thread waits next, or waits now. */
static void wait_set_ready(struct wait_set *w, struct conn *conn)
{
    conn_lists_move(&w->places, conn, CONN_READY, 0);
    wait_set_nudge(w);
}

static uint64_t wait_set_setting(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms * CLOCK_NS_PER_MS : 0;
}

/* Reads what has arrived. True if the connection is ready: it is then nobody's but the caller's. */
static bool wait_set_progress(struct wait_set *w, struct conn *conn)
{
    const struct ot_settings *settings = worker_slot_settings();
    enum conn_result result = conn_fill(conn, (size_t)settings->limit_params_size);
    if (conn->params_too_large || conn_has_header(conn)) {
        if (conn->state == CONN_KEPT || conn->since == 0)
            conn->since = clock_ns();
        conn_lists_move(&w->places, conn, CONN_BUSY, 0);
        return wait_set_acceptable(w, conn);
    }
    if (result == CONN_CLOSED) {
        if (conn->broken || conn->end > conn->start) {
            diagnostics_write("pool %s: connection closed: %s", worker_slot_pool(),
                              conn->broken ? "it does not speak FastCGI"
                                           : "it ended within a request header");
            wait_set_count_dropped(conn, 0);
        }
        conn_lists_drop(&w->places, &conn);
        return false;
    }
    bool begun = conn->end > conn->start || conn->frame.phase != FRAME_NONE;
    if (conn->state == CONN_BUSY || (conn->state == CONN_KEPT && begun)) {
        if (!conn_lists_watch(&w->places, conn)) {
            conn_lists_drop(&w->places, &conn);
            return false;
        }
        conn_lists_move_since(&w->places, conn, CONN_PENDING,
                              wait_set_setting(settings->request_header_timeout),
                              conn->state == CONN_BUSY ? conn->since : 0);
    }
    return false;
}

/* What becomes of kept connections that cannot stay. */
enum wait_set_sweep {
    WAIT_SET_SWEEP_CLOSE,   /* closed, unless a request has begun: then it is served here */
    WAIT_SET_SWEEP_GIVE,    /* closed, unless a request has begun: then another worker serves it */
    WAIT_SET_SWEEP_BEQUEATH /* another worker takes them all, if there is one */
};

/* Takes the longest idle kept connection off the list. */
static void wait_set_sweep_oldest(struct wait_set *w, enum wait_set_sweep how)
{
    struct conn *conn = w->places.lists[CONN_KEPT].first;
    bool give = how != WAIT_SET_SWEEP_CLOSE;
    if (how == WAIT_SET_SWEEP_BEQUEATH && worker_slot_siblings_take_over() &&
        conn_lists_give(&w->places, &conn))
        return;
    if (!conn_has_input(conn))
        conn_lists_drop(&w->places, &conn);
    else if (!give || !conn_lists_give(&w->places, &conn)) {
        if (!conn_lists_watch(&w->places, conn))
            conn_lists_drop(&w->places, &conn);
        else if (wait_set_progress(w, conn))
            wait_set_ready(w, conn);
    }
}

/* ---- accepting ---- */

/* Idle kept connections are the first to give way; then we pause, as the level-triggered listener
 * would keep us spinning. */
static void wait_set_relieve(struct wait_set *w)
{
    (void)pthread_mutex_lock(&w->lock);
    if (!w->starved)
        diagnostics_write("pool %s: cannot accept connections: %s; raise rlimit_files",
                          worker_slot_pool(), strerror(errno));
    w->starved = true;
    if (w->places.lists[CONN_KEPT].first != NULL)
        wait_set_sweep_oldest(w, WAIT_SET_SWEEP_GIVE);
    (void)pthread_mutex_unlock(&w->lock);
    (void)poll(NULL, 0, WAIT_SET_SHORT_PAUSE);
}

/* A client that has just connected sends at once, unless our own wake-up has interrupted it. Where
 * all cores are busy it is let go on, before its connection is watched: that costs more than this,
 * and another wake-up. They are if it takes long until it is our turn again; if not, to sleep would
 * have been better, as whatever wakes us finds an idle core. */
static void wait_set_for_client(struct wait_set *w, struct conn *conn)
{
    size_t limit = (size_t)worker_slot_settings()->limit_params_size;
    if (!luck_tries(&w->client) || conn_fill(conn, limit) != CONN_AGAIN)
        return;
    uint64_t before = clock_ns();
    (void)sched_yield();
    luck_tried(&w->client, clock_ns() - before >= WAIT_SET_BUSY_TIME);
}

/* A connection that nobody serves yet. True if it came with a whole request header. */
static bool wait_set_admit(struct wait_set *w, struct conn *conn, struct conn **out)
{
    conn->wait_set = w;
    (void)pthread_mutex_lock(&w->lock);
    bool ready = wait_set_progress(w, conn);
    (void)pthread_mutex_unlock(&w->lock);
    *out = conn;
    return ready;
}

/* WAIT_SET_REQUEST if a connection came with a whole request header, WAIT_SET_INTERRUPTED if there
 * was nothing to take or it is not ready yet. */
static enum wait_set_result wait_set_take(struct wait_set *w, struct conn **out)
{
    struct conn *conn = NULL;
    switch (listener_accept(&w->listener, &conn)) {
    case LISTENER_CONN:
        w->starved = false;
        wait_set_for_client(w, conn);
        return wait_set_admit(w, conn, out) ? WAIT_SET_REQUEST : WAIT_SET_INTERRUPTED;
    case LISTENER_REFUSED:
        diagnostics_write("pool %s: connection refused: client not in listen.allowed_clients",
                          worker_slot_pool());
        wait_set_count_dropped(NULL, 0);
        return WAIT_SET_INTERRUPTED;
    case LISTENER_STARVED:
        wait_set_relieve(w);
        return WAIT_SET_INTERRUPTED;
    case LISTENER_NONE:
        return WAIT_SET_INTERRUPTED;
    case LISTENER_FAILED:
    default:
        return WAIT_SET_FAILED;
    }
}

static enum wait_set_result wait_set_take_handed(struct wait_set *w, struct conn **out)
{
    bool idle = false, leaver = false;
    struct conn *conn = conn_handoff_take(&idle, &leaver);
    if (conn != NULL && idle) {
        conn->wait_set = w;
        if (leaver)
            keepalive_policy_crowded(&w->share, clock_coarse_ns());
        wait_set_keep(&conn);
        return WAIT_SET_INTERRUPTED;
    }
    return conn != NULL && wait_set_admit(w, conn, out) ? WAIT_SET_REQUEST : WAIT_SET_INTERRUPTED;
}

/* ---- time ---- */

/* The worker may have been away for long: what has come in the meantime counts. */
static void wait_set_expire_one(struct wait_set *w, struct conn *conn)
{
    enum conn_state place = conn->state;
    if (place == CONN_PENDING || (place == CONN_KEPT && conn_has_input(conn))) {
        if (wait_set_progress(w, conn)) {
            wait_set_ready(w, conn);
            return;
        }
        if (w->places.lists[place].first != conn)
            return; /* gone, or a header has begun */
    }
    if (place == CONN_PENDING) {
        diagnostics_write(
            "pool %s: connection closed: no whole request header within request_header_timeout",
            worker_slot_pool());
        wait_set_count_dropped(conn, 0);
    }
    conn_lists_drop(&w->places, &conn);
}

/* Closes what has stayed too long; returns the time to the next deadline as poll() takes it. */
static int wait_set_expire(struct wait_set *w)
{
    /* Kept ones first: on some of them a header has begun, and then it has its time. */
    static const enum conn_state timed[] = {CONN_KEPT, CONN_PENDING, CONN_LINGERING};
    uint64_t next = 0;
    uint64_t now = 0;
    for (size_t i = 0; i < sizeof timed / sizeof timed[0]; i++) {
        struct conn *conn = NULL;
        while ((conn = w->places.lists[timed[i]].first) != NULL && conn->deadline != 0) {
            if (now == 0)
                now = clock_ns();
            if (conn->deadline > now) {
                next = next == 0 || conn->deadline < next ? conn->deadline : next;
                break;
            }
            wait_set_expire_one(w, conn);
        }
    }
    return clock_timeout_ms(next, now);
}

/* ---- events ---- */

/* True if the event made a connection ready. */
static bool wait_set_event(struct wait_set *w, uint64_t tag, struct conn **out)
{
    struct conn *conn = conn_lists_find(tag);
    if (conn == NULL || conn->wait_set != w)
        return false;
    if (conn->state == CONN_LINGERING) {
        enum conn_result result = conn_discard_input(conn);
        if (result == CONN_CLOSED || (result == CONN_OK && !conn_lists_rewatch(&w->places, conn)))
            conn_lists_drop(&w->places, &conn);
        return false;
    }
    if (conn->state != CONN_KEPT && conn->state != CONN_PENDING)
        return false;
    *out = conn;
    return wait_set_progress(w, conn);
}

static bool wait_set_pop_ready(struct wait_set *w, struct conn **out)
{
    *out = w->places.lists[CONN_READY].first;
    if (*out == NULL)
        return false;
    conn_lists_move(&w->places, *out, CONN_BUSY, 0);
    return true;
}

/* ---- the end ---- */

static void wait_set_sweep_kept(struct wait_set *w, enum wait_set_sweep how)
{
    while (w->places.lists[CONN_KEPT].first != NULL)
        wait_set_sweep_oldest(w, how);
}

/* Waits for what was accepted but is not finished: incomplete headers, parked connections. For so
 * many milliseconds at the most. */
static void wait_set_poll_unfinished(struct wait_set *w, int limit)
{
    struct pollfd fds[WAIT_SET_LINGER_MAX];
    uint32_t serials[WAIT_SET_LINGER_MAX];
    static const enum conn_state places[] = {CONN_PENDING, CONN_LINGERING};
    nfds_t count = 0;
    (void)pthread_mutex_lock(&w->lock);
    int timeout = wait_set_expire(w);
    for (size_t i = 0; i < 2; i++)
        for (struct conn *c = w->places.lists[places[i]].first;
             c != NULL && count < WAIT_SET_LINGER_MAX; c = c->next) {
            serials[count] = c->serial;
            fds[count++] = (struct pollfd){.fd = c->fd, .events = POLLIN | POLLRDHUP};
        }
    (void)pthread_mutex_unlock(&w->lock);
    if (timeout < 0 || timeout > limit)
        timeout = limit;
    if (count == 0 || poll(fds, count, timeout) <= 0)
        return;
    (void)pthread_mutex_lock(&w->lock);
    for (nfds_t i = 0; i < count; i++) {
        struct conn *conn = fds[i].revents != 0 ? conn_find(fds[i].fd) : NULL;
        if (conn == NULL || conn->serial != serials[i])
            continue;
        if (conn->state == CONN_LINGERING && conn_discard_input(conn) == CONN_CLOSED)
            conn_lists_drop(&w->places, &conn);
        else if (conn->state == CONN_PENDING && wait_set_progress(w, conn))
            wait_set_ready(w, conn);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

static bool wait_set_queued(const struct wait_set *w)
{
    struct pollfd queue = {.fd = w->listener.fd, .events = POLLIN};
    return poll(&queue, 1, 0) == 1 && (queue.revents & POLLIN) != 0;
}

/* The listening socket is given up for good: the kernel wakes others for what comes next. But one
 * connection may be waiting for the very wake-up that the signal took the place of; and where the
 * whole pool gives the socket up, there are no others. True with a request; else it is closed, or
 * nothing can be taken before something else is finished. */
static bool wait_set_last_accept(struct wait_set *w, bool first, struct conn **out)
{
    enum wait_set_result result = WAIT_SET_INTERRUPTED;
    if (first)
        (void)epoll_ctl(w->places.epfd, EPOLL_CTL_DEL, w->listener.fd, NULL);
    if (first && (graceful_stop_by_signal() || atomic_load(&w->threads) > 1))
        result = wait_set_take(w, out);
    while (result == WAIT_SET_INTERRUPTED && worker_slot_last_drain() && wait_set_queued(w)) {
        result = wait_set_take(w, out);
        if (result == WAIT_SET_INTERRUPTED && w->starved)
            return false;
    }
    if (result != WAIT_SET_REQUEST || !worker_slot_last_drain())
        listener_close(&w->listener);
    return result == WAIT_SET_REQUEST;
}

/* What this worker gave away last may find no sibling that is not draining too, where none is to
 * come. */
static void wait_set_take_back(struct wait_set *w)
{
    struct conn *conn = NULL;
    bool idle = false, leaver = false;
    while (!worker_slot_siblings_take_over() && conn_handoff_fd() >= 0 &&
           (conn = conn_handoff_take(&idle, &leaver)) != NULL) {
        conn->wait_set = w;
        if (idle && !conn_has_input(conn))
            conn_lists_drop(&w->places, &conn);
        else if (wait_set_progress(w, conn))
            wait_set_ready(w, conn);
    }
}

/* Any thread may take what is ready; one of them stays for what is not. */
static enum wait_set_result wait_set_drain(struct wait_set *w, struct conn **out)
{
    (void)pthread_mutex_lock(&w->lock);
    bool first = !w->draining;
    w->draining = true;
    (void)pthread_mutex_unlock(&w->lock);
    for (;; first = false) {
        if ((first || w->listener.fd >= 0) && wait_set_last_accept(w, first, out))
            return WAIT_SET_REQUEST;
        (void)pthread_mutex_lock(&w->lock);
        wait_set_sweep_kept(w, worker_slot_siblings_take_over() ? WAIT_SET_SWEEP_BEQUEATH
                                                                : WAIT_SET_SWEEP_CLOSE);
        wait_set_take_back(w);
        bool ready = wait_set_pop_ready(w, out);
        bool done = w->lingering || (w->places.lists[CONN_PENDING].first == NULL &&
                                     w->places.lists[CONN_LINGERING].first == NULL);
        w->lingering = w->lingering || !(ready || done);
        (void)pthread_mutex_unlock(&w->lock);
        if (ready)
            return WAIT_SET_REQUEST;
        if (done)
            return WAIT_SET_DRAINED;
        wait_set_poll_unfinished(w, INT_MAX);
        (void)pthread_mutex_lock(&w->lock);
        w->lingering = false;
        (void)pthread_mutex_unlock(&w->lock);
    }
}

/* ---- waiting ---- */

/* Under load the listen queue is never empty, and asking it directly saves the wait; but nothing
 * else may be neglected for longer than WAIT_SET_EAGER_TIME. */
static bool wait_set_eager(struct wait_set *w)
{
    return luck_tries(&w->queue) &&
           w->places.lists[CONN_KEPT].count + w->places.lists[CONN_PENDING].count == 0 &&
           clock_coarse_ns() <
               atomic_load_explicit(&w->looked, memory_order_relaxed) + WAIT_SET_EAGER_TIME;
}

static enum wait_set_result wait_set_take_eagerly(struct wait_set *w, struct conn **out)
{
    *out = NULL;
    enum wait_set_result result = wait_set_take(w, out);
    luck_tried(&w->queue, *out != NULL);
    return result;
}

static void wait_set_note_time(struct wait_set *w, uint64_t before, int events)
{
    int saved = errno;
    uint64_t now = clock_coarse_ns();
    atomic_store_explicit(&w->looked, now, memory_order_relaxed);
    if (now != before || events <= 0) {
        atomic_store_explicit(&w->blocked, now, memory_order_relaxed);
    } else if (now - atomic_load_explicit(&w->blocked, memory_order_relaxed) >
               WAIT_SET_SIGNAL_TIME) {
        graceful_stop_poll();
        atomic_store_explicit(&w->blocked, now, memory_order_relaxed);
    }
    errno = saved;
}

/* Events taken before, or else a look at the kernel's. 1 with an event, 0 if the time is up, -1 for
 * an error. */
static int wait_set_event_next(struct wait_set *w, int timeout, struct epoll_event *event)
{
    struct epoll_event events[WAIT_SET_BATCH];
    if (w->seen_next < w->seen_count) {
        *event = w->seen[w->seen_next++];
        wait_set_note_time(w, clock_coarse_ns(), 1);
        if (w->seen_next < w->seen_count)
            wait_set_nudge(w);
        return 1;
    }
    (void)pthread_mutex_unlock(&w->lock);
    worker_slot_state(OT_STATE_IDLE);
    uint64_t before = clock_coarse_ns();
    /* With other threads each takes one: what this one held back could wait for its request. */
    int most = atomic_load(&w->threads) == 1 ? WAIT_SET_BATCH : 1;
    int n = epoll_pwait(w->places.epfd, events, most, timeout, graceful_stop_wait_mask());
    wait_set_note_time(w, before, n);
    (void)pthread_mutex_lock(&w->lock);
    if (n <= 0)
        return n;
    *event = events[0];
    if (n > 1) {
        memcpy(w->seen, events + 1, (size_t)(n - 1) * sizeof *events);
        w->seen_next = 0;
        w->seen_count = n - 1;
        wait_set_nudge(w); /* a thread that has joined meanwhile may have nothing else to wake it */
    }
    return 1;
}

static enum wait_set_result wait_set_turn(struct wait_set *w, bool tell_interrupts,
                                          struct conn **out)
{
    struct epoll_event event;
    (void)pthread_mutex_lock(&w->lock);
    int timeout = wait_set_expire(w);
    bool ready = wait_set_pop_ready(w, out);
    int n = ready ? 0 : wait_set_event_next(w, timeout, &event);
    bool of_conn = n > 0 && (int32_t)event.data.u64 >= 0;
    if (of_conn)
        ready = wait_set_event(w, event.data.u64, out);
    (void)pthread_mutex_unlock(&w->lock);
    if (ready)
        return WAIT_SET_REQUEST;
    if (n < 0)
        return errno == EINTR && !(tell_interrupts && !graceful_stop_requested())
                   ? WAIT_SET_INTERRUPTED
                   : WAIT_SET_FAILED;
    if (n > 0 && (int32_t)event.data.u64 == WAIT_SET_TAG_LISTENER)
        return wait_set_take(w, out);
    if (n > 0 && (int32_t)event.data.u64 == WAIT_SET_TAG_HANDOFF)
        return wait_set_take_handed(w, out);
    return WAIT_SET_INTERRUPTED;
}

/* ---- setting up ---- */

static bool wait_set_add(const struct wait_set *w, int fd, int32_t tag, uint32_t events)
{
    struct epoll_event event = {.events = events};
    event.data.u64 = (uint32_t)tag;
    return epoll_ctl(w->places.epfd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool wait_set_open(struct wait_set *w, int asked, const char *addresses)
{
    memset(w, 0, sizeof *w);
    if (!listener_open(&w->listener, asked, addresses))
        return false;
    (void)pthread_mutex_init(&w->lock, NULL);
    w->asked = asked;
    w->places.epfd = epoll_create1(EPOLL_CLOEXEC);
    w->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->used = w->places.epfd >= 0 &&
              wait_set_add(w, w->listener.fd, WAIT_SET_TAG_LISTENER, EPOLLIN | EPOLLEXCLUSIVE) &&
              w->nudge >= 0 && wait_set_add(w, w->nudge, WAIT_SET_TAG_NUDGE, EPOLLIN | EPOLLET) &&
              (graceful_stop_fd() < 0 ||
               wait_set_add(w, graceful_stop_fd(), WAIT_SET_TAG_DRAIN, EPOLLIN)) &&
              (conn_handoff_fd() < 0 ||
               wait_set_add(w, conn_handoff_fd(), WAIT_SET_TAG_HANDOFF, EPOLLIN | EPOLLEXCLUSIVE));
    return w->used;
}

static struct wait_set *wait_set_find(int listener)
{
    for (size_t i = 0; i < WAIT_SET_SETS; i++)
        if (wait_set_sets[i].used && wait_set_sets[i].asked == listener)
            return &wait_set_sets[i];
    return NULL;
}

static struct wait_set *wait_set_free_set(void)
{
    for (size_t i = 0; i < WAIT_SET_SETS; i++)
        if (!wait_set_sets[i].used)
            return &wait_set_sets[i];
    errno = EMFILE;
    return NULL;
}

bool wait_set_has(int listener)
{
    (void)pthread_mutex_lock(&wait_set_sets_lock);
    bool has = wait_set_find(listener) != NULL;
    (void)pthread_mutex_unlock(&wait_set_sets_lock);
    return has;
}

static struct wait_set *wait_set_join(int listener, const char *addresses)
{
    if (wait_set_joined != NULL && wait_set_joined->asked == listener)
        return (struct wait_set *)(uintptr_t)wait_set_joined;
    graceful_stop_start();
    (void)pthread_mutex_lock(&wait_set_sets_lock);
    struct wait_set *w = wait_set_find(listener);
    if (w == NULL)
        w = wait_set_free_set();
    if (w != NULL && !w->used && !wait_set_open(w, listener, addresses))
        w = NULL;
    if (w != NULL)
        atomic_fetch_add(&w->threads, 1);
    (void)pthread_mutex_unlock(&wait_set_sets_lock);
    wait_set_joined = w;
    return w;
}

static enum wait_set_result wait_set_any(struct wait_set *w, bool tell_interrupts,
                                         struct conn **conn)
{
    for (;;) {
        enum wait_set_result result = WAIT_SET_INTERRUPTED;
        if (graceful_stop_requested())
            return wait_set_drain(w, conn);
        if (wait_set_eager(w))
            result = wait_set_take_eagerly(w, conn);
        if (result == WAIT_SET_INTERRUPTED && !graceful_stop_requested())
            result = wait_set_turn(w, tell_interrupts, conn);
        if (result == WAIT_SET_FAILED && graceful_stop_requested())
            continue; /* another thread has closed the listening socket */
        if (result == WAIT_SET_FAILED && errno == EINTR)
            return WAIT_SET_INTERRUPTED;
        if (result != WAIT_SET_INTERRUPTED)
            return result;
    }
}

/* The others that were accepted must not wait for this request if another worker is free. */
static void wait_set_share(struct wait_set *w)
{
    size_t count = w->places.lists[CONN_KEPT].count;
    bool kept = count > 0 && worker_slot_siblings() &&
                keepalive_policy_begin(&w->share, clock_coarse_ns(), count);
    if (!kept && w->places.lists[CONN_PENDING].count + w->places.lists[CONN_READY].count == 0)
        return;
    (void)pthread_mutex_lock(&w->lock);
    conn_lists_give_all(&w->places, CONN_READY);
    conn_lists_give_all(&w->places, CONN_PENDING);
    if (kept)
        conn_lists_give_all(&w->places, CONN_KEPT);
    (void)pthread_mutex_unlock(&w->lock);
}

enum wait_set_result wait_set_next(int listener, const char *addresses, bool tell_interrupts,
                                   struct conn **conn)
{
    struct wait_set *w = wait_set_join(listener, addresses);
    if (w != NULL && keepalive_policy_timed(&w->share))
        keepalive_policy_end(&w->share, clock_coarse_ns());
    enum wait_set_result result =
        w != NULL ? wait_set_any(w, tell_interrupts, conn) : WAIT_SET_FAILED;
    if (result == WAIT_SET_REQUEST && !graceful_stop_requested() && atomic_load(&w->threads) == 1)
        wait_set_share(w);
    return result;
}

/* A connection between two requests, with what has come of the next one. */
static void wait_set_rest(struct wait_set *w, struct conn *conn)
{
    conn_lists_move(&w->places, conn, CONN_KEPT,
                    wait_set_setting(worker_slot_settings()->keepalive_timeout));
    /* The edge that announced more may have been another thread's, or come with the last read. */
    if ((conn->end > conn->start || !conn->socket_empty || atomic_load(&w->threads) > 1) &&
        wait_set_progress(w, conn))
        wait_set_ready(w, conn);
}

void wait_set_keep(struct conn **conn)
{
    struct conn *c = *conn;
    struct wait_set *w = c->wait_set;
    *conn = NULL;
    (void)pthread_mutex_lock(&w->lock);
    uint64_t max = worker_slot_settings()->keepalive_max;
    while (max > 0 && w->places.lists[CONN_KEPT].count >= max)
        wait_set_sweep_oldest(w, WAIT_SET_SWEEP_GIVE);
    if ((max == 0 && !conn_has_input(c)) || !conn_lists_watch(&w->places, c))
        conn_lists_drop(&w->places, &c);
    else
        wait_set_rest(w, c);
    (void)pthread_mutex_unlock(&w->lock);
}

void wait_set_hand_over(struct conn **conn)
{
    struct conn *c = *conn;
    struct wait_set *w = c->wait_set;
    *conn = NULL;
    (void)pthread_mutex_lock(&w->lock);
    if (!conn_lists_give(&w->places, &c) && conn_lists_watch(&w->places, c))
        wait_set_rest(w, c);
    else if (c != NULL)
        conn_lists_drop(&w->places, &c);
    (void)pthread_mutex_unlock(&w->lock);
}

void wait_set_close(struct conn **conn)
{
    struct wait_set *w = (*conn)->wait_set;
    (void)pthread_mutex_lock(&w->lock);
    conn_lists_drop(&w->places, conn);
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
    if (keep && (clean || conn_next_request_begun(c))) {
        if (c->last_write)
            conn_flush(c);
        c->last_write = false;
        wait_set_keep(conn);
    } else if (complete) {
        wait_set_close(conn);
    } else {
        wait_set_linger(conn);
    }
}

/* Closing them with unread input would take the end of their responses away from their clients. */
static void wait_set_leave_parked(struct wait_set *w)
{
    uint64_t deadline = clock_ns() + WAIT_SET_LEAVE_TIME;
    while (w->places.lists[CONN_LINGERING].count > 0 && clock_ns() < deadline)
        wait_set_poll_unfinished(w, WAIT_SET_SHORT_PAUSE);
}

void wait_set_exit(void)
{
    for (size_t i = 0; i < WAIT_SET_SETS; i++) {
        struct wait_set *w = &wait_set_sets[i];
        if (!w->used)
            continue;
        (void)pthread_mutex_lock(&w->lock);
        wait_set_sweep_kept(w, WAIT_SET_SWEEP_BEQUEATH);
        conn_lists_give_all(&w->places, CONN_READY);
        conn_lists_give_all(&w->places, CONN_PENDING);
        (void)pthread_mutex_unlock(&w->lock);
        wait_set_leave_parked(w);
    }
}

void wait_set_release_idle(const struct conn *of)
{
    struct wait_set *w = of->wait_set;
    (void)pthread_mutex_lock(&w->lock);
    wait_set_sweep_kept(w, WAIT_SET_SWEEP_BEQUEATH);
    (void)pthread_mutex_unlock(&w->lock);
}

static void wait_set_abandon(struct wait_set *w)
{
    for (int place = 0; place < CONN_STATES; place++)
        for (struct conn *conn = w->places.lists[place].first; conn != NULL; conn = conn->next)
            (void)close(conn->fd);
    (void)close(w->places.epfd);
    (void)close(w->nudge);
    listener_close(&w->listener);
    memset(w, 0, sizeof *w);
}

void wait_set_after_fork(void)
{
    for (size_t i = 0; i < WAIT_SET_SETS; i++)
        if (wait_set_sets[i].used)
            wait_set_abandon(&wait_set_sets[i]);
    (void)pthread_mutex_init(&wait_set_sets_lock, NULL);
    wait_set_joined = NULL;
}
