/* wait.c: see wait.h.
 *
 * Connections stay watched while they are served, so that a kept connection costs no epoll_ctl per
 * request; edge-triggered, or a body that arrives would wake threads that wait.
 */
#include "sapi-shim/wait.h"
#include "sapi-shim/board.h"
#include "sapi-shim/clock.h"
#include "sapi-shim/drain.h"
#include "sapi-shim/entry.h"
#include "sapi-shim/handoff.h"
#include "sapi-shim/listener.h"
#include "sapi-shim/luck.h"
#include "sapi-shim/note.h"
#include "sapi-shim/places.h"
#include "sapi-shim/share.h"

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

#define WAIT_PARK_TIME   (2000 * CLOCK_MS) /* longest stay of a parked connection */
#define WAIT_LEAVE_TIME  (500 * CLOCK_MS)  /* for those that are parked when the process ends */
#define WAIT_EAGER_TIME  (10 * CLOCK_MS) /* how long accept may go on without a look at the rest */
#define WAIT_SIGNAL_TIME (20 * CLOCK_MS) /* how long signals may go unseen under full load */
#define WAIT_BUSY_TIME   (CLOCK_MS / 10) /* a yield that takes longer says that cores are busy */
#define WAIT_SHORT_PAUSE 20              /* ms, when descriptors or memory have run out */

enum {
    WAIT_SETS = 8,          /* listening sockets per process */
    WAIT_PARKED_MAX = 64,   /* more than that and the oldest is closed */
    WAIT_LINGER_MAX = 1024, /* connections looked after while draining */
    WAIT_BATCH = 16,        /* events taken with one call, where one thread waits */
};

struct wait {
    bool used;
    int asked; /* the descriptor as the application names it */
    struct listener listener;
    struct places places;
    int nudge;    /* eventfd: a request became ready while its thread has other work */
    bool starved; /* descriptors or memory ran out: said once */
    pthread_mutex_t lock;
    struct epoll_event seen[WAIT_BATCH]; /* [next, count) are still to be acted upon */
    int seen_next;
    int seen_count;
    struct luck queue;        /* in asking the listen queue directly */
    struct luck client;       /* in letting a client send what it is about to */
    _Atomic uint64_t looked;  /* clock_tick of the last epoll_pwait */
    _Atomic uint64_t blocked; /* clock_tick of the last one that lasted, so that signals came in */
    _Atomic unsigned threads;
    struct share share;
    bool draining;  /* no wake-up for the listening socket is wanted any more */
    bool lingering; /* a thread waits for what was accepted and is not finished */
};

enum {
    WAIT_TAG_LISTENER = -1,
    WAIT_TAG_DRAIN = -2,
    WAIT_TAG_HANDOFF = -3,
    WAIT_TAG_NUDGE = -4
};

static struct wait wait_sets[WAIT_SETS];
static pthread_mutex_t wait_sets_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local const struct wait *wait_joined;

/* ---- requests that the application will not see ---- */

/* `status` is what the peer was answered, 0 for nothing; `conn` is NULL where there is none yet. */
static void wait_count_dropped(const struct conn *conn, unsigned status)
{
    struct ot_record *record = board_record();
    entry_dropped(record, board_number(record), status, conn != NULL ? conn->since : 0, NULL);
}

static void wait_park_locked(struct wait *w, struct conn *conn)
{
    struct places_list *parked = &w->places.lists[CONN_PARKED];
    conn_half_close(conn);
    if (conn_drain(conn) == CONN_GONE || !places_rewatch(&w->places, conn)) {
        places_drop(&w->places, &conn);
        return;
    }
    if (parked->count >= WAIT_PARKED_MAX) {
        struct conn *oldest = parked->first;
        places_drop(&w->places, &oldest);
    }
    places_move(&w->places, conn, CONN_PARKED, WAIT_PARK_TIME);
}

static void wait_refuse(struct wait *w, struct conn *conn, const char *why, const char *http_status,
                        enum frame_status status)
{
    note("pool %s: request refused: %s", board_pool(), why);
    wait_count_dropped(conn, http_status != NULL ? (unsigned)strtoul(http_status, NULL, 10) : 0);
    conn_refuse(conn, http_status, status);
    wait_park_locked(w, conn);
}

/* True if the request may go to the application; otherwise it is answered and gone. */
static bool wait_acceptable(struct wait *w, struct conn *conn)
{
    if (conn->too_large) {
        wait_refuse(w, conn, "parameters exceed limit_params_size",
                    "431 Request Header Fields Too Large", FRAME_REQUEST_COMPLETE);
        return false;
    }
    if (conn->frame.role < 1 || conn->frame.role > 3) {
        wait_refuse(w, conn, "unknown FastCGI role", NULL, FRAME_UNKNOWN_ROLE);
        return false;
    }
    if (conn->aborted) {
        wait_refuse(w, conn, "aborted by the web server before it began", NULL,
                    FRAME_REQUEST_COMPLETE);
        return false;
    }
    return true;
}

/* ---- one connection's progress ---- */

/* There is something to do for a thread that waits, if there is one. */
static void wait_nudge(struct wait *w)
{
    uint64_t one = 1;
    if (atomic_load(&w->threads) > 1) {
        ssize_t n = write(w->nudge, &one, sizeof one);
        (void)n; /* full means that it wakes anyway */
    }
}

/* A request is there for whichever thread waits next, or waits now. */
static void wait_ready(struct wait *w, struct conn *conn)
{
    places_move(&w->places, conn, CONN_READY, 0);
    wait_nudge(w);
}

static uint64_t wait_setting(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms * CLOCK_MS : 0;
}

/* Reads what has arrived. True if the connection is ready: it is then nobody's but the caller's. */
static bool wait_progress(struct wait *w, struct conn *conn)
{
    const struct ot_settings *settings = board_settings();
    enum conn_result result = conn_fill(conn, (size_t)settings->limit_params_size);
    if (conn->too_large || conn_has_header(conn)) {
        if (conn->place == CONN_KEPT || conn->since == 0)
            conn->since = clock_now();
        places_move(&w->places, conn, CONN_BUSY, 0);
        return wait_acceptable(w, conn);
    }
    if (result == CONN_GONE) {
        if (conn->broken || conn->end > conn->start) {
            note("pool %s: connection closed: %s", board_pool(),
                 conn->broken ? "it does not speak FastCGI" : "it ended within a request header");
            wait_count_dropped(conn, 0);
        }
        places_drop(&w->places, &conn);
        return false;
    }
    bool begun = conn->end > conn->start || conn->frame.phase != FRAME_NONE;
    if (conn->place == CONN_BUSY || (conn->place == CONN_KEPT && begun)) {
        if (!places_watch(&w->places, conn)) {
            places_drop(&w->places, &conn);
            return false;
        }
        places_move_since(&w->places, conn, CONN_PENDING,
                          wait_setting(settings->request_header_timeout),
                          conn->place == CONN_BUSY ? conn->since : 0);
    }
    return false;
}

/* What becomes of kept connections that cannot stay. */
enum wait_sweep {
    WAIT_SWEEP_CLOSE,   /* closed, unless a request has begun: then it is served here */
    WAIT_SWEEP_GIVE,    /* closed, unless a request has begun: then another worker serves it */
    WAIT_SWEEP_BEQUEATH /* another worker takes them all, if there is one */
};

/* Takes the longest idle kept connection off the list. */
static void wait_sweep_oldest(struct wait *w, enum wait_sweep how)
{
    struct conn *conn = w->places.lists[CONN_KEPT].first;
    bool give = how != WAIT_SWEEP_CLOSE;
    if (how == WAIT_SWEEP_BEQUEATH && board_heirs() && places_give(&w->places, &conn))
        return;
    if (!conn_has_bytes(conn))
        places_drop(&w->places, &conn);
    else if (!give || !places_give(&w->places, &conn)) {
        if (!places_watch(&w->places, conn))
            places_drop(&w->places, &conn);
        else if (wait_progress(w, conn))
            wait_ready(w, conn);
    }
}

/* ---- accepting ---- */

/* Idle kept connections are the first to give way; then we pause, as the level-triggered listener
 * would keep us spinning. */
static void wait_relieve(struct wait *w)
{
    (void)pthread_mutex_lock(&w->lock);
    if (!w->starved)
        note("pool %s: cannot accept connections: %s; raise rlimit_files", board_pool(),
             strerror(errno));
    w->starved = true;
    if (w->places.lists[CONN_KEPT].first != NULL)
        wait_sweep_oldest(w, WAIT_SWEEP_GIVE);
    (void)pthread_mutex_unlock(&w->lock);
    (void)poll(NULL, 0, WAIT_SHORT_PAUSE);
}

/* A client that has just connected sends at once, unless our own wake-up has interrupted it. Where
 * all cores are busy it is let go on, before its connection is watched: that costs more than this,
 * and another wake-up. They are if it takes long until it is our turn again; if not, to sleep would
 * have been better, as whatever wakes us finds an idle core. */
static void wait_for_client(struct wait *w, struct conn *conn)
{
    size_t limit = (size_t)board_settings()->limit_params_size;
    if (!luck_tries(&w->client) || conn_fill(conn, limit) != CONN_AGAIN)
        return;
    uint64_t before = clock_now();
    (void)sched_yield();
    luck_tried(&w->client, clock_now() - before >= WAIT_BUSY_TIME);
}

/* A connection that nobody serves yet. True if it came with a whole request header. */
static bool wait_admit(struct wait *w, struct conn *conn, struct conn **out)
{
    conn->home = w;
    (void)pthread_mutex_lock(&w->lock);
    bool ready = wait_progress(w, conn);
    (void)pthread_mutex_unlock(&w->lock);
    *out = conn;
    return ready;
}

/* WAIT_REQUEST if a connection came with a whole request header, WAIT_INTERRUPTED if there was
 * nothing to take or it is not ready yet. */
static enum wait_result wait_take(struct wait *w, struct conn **out)
{
    struct conn *conn = NULL;
    switch (listener_accept(&w->listener, &conn)) {
    case LISTENER_CONN:
        w->starved = false;
        wait_for_client(w, conn);
        return wait_admit(w, conn, out) ? WAIT_REQUEST : WAIT_INTERRUPTED;
    case LISTENER_REFUSED:
        note("pool %s: connection refused: client not in listen.allowed_clients", board_pool());
        wait_count_dropped(NULL, 0);
        return WAIT_INTERRUPTED;
    case LISTENER_STARVED:
        wait_relieve(w);
        return WAIT_INTERRUPTED;
    case LISTENER_NONE:
        return WAIT_INTERRUPTED;
    case LISTENER_FAILED:
    default:
        return WAIT_FAILED;
    }
}

static enum wait_result wait_take_handed(struct wait *w, struct conn **out)
{
    bool idle = false, leaver = false;
    struct conn *conn = handoff_take(&idle, &leaver);
    if (conn != NULL && idle) {
        conn->home = w;
        if (leaver)
            share_crowded(&w->share, clock_tick());
        wait_keep(&conn);
        return WAIT_INTERRUPTED;
    }
    return conn != NULL && wait_admit(w, conn, out) ? WAIT_REQUEST : WAIT_INTERRUPTED;
}

/* ---- time ---- */

/* The worker may have been away for long: what has come in the meantime counts. */
static void wait_expire_one(struct wait *w, struct conn *conn)
{
    enum conn_place place = conn->place;
    if (place == CONN_PENDING || (place == CONN_KEPT && conn_has_bytes(conn))) {
        if (wait_progress(w, conn)) {
            wait_ready(w, conn);
            return;
        }
        if (w->places.lists[place].first != conn)
            return; /* gone, or a header has begun */
    }
    if (place == CONN_PENDING) {
        note("pool %s: connection closed: no whole request header within request_header_timeout",
             board_pool());
        wait_count_dropped(conn, 0);
    }
    places_drop(&w->places, &conn);
}

/* Closes what has stayed too long; returns the time to the next deadline as poll() takes it. */
static int wait_expire(struct wait *w)
{
    /* Kept ones first: on some of them a header has begun, and then it has its time. */
    static const enum conn_place timed[] = {CONN_KEPT, CONN_PENDING, CONN_PARKED};
    uint64_t next = 0;
    uint64_t now = 0;
    for (size_t i = 0; i < sizeof timed / sizeof timed[0]; i++) {
        struct conn *conn = NULL;
        while ((conn = w->places.lists[timed[i]].first) != NULL && conn->deadline != 0) {
            if (now == 0)
                now = clock_now();
            if (conn->deadline > now) {
                next = next == 0 || conn->deadline < next ? conn->deadline : next;
                break;
            }
            wait_expire_one(w, conn);
        }
    }
    return clock_timeout(next, now);
}

/* ---- events ---- */

/* True if the event made a connection ready. */
static bool wait_event(struct wait *w, uint64_t tag, struct conn **out)
{
    struct conn *conn = places_find(tag);
    if (conn == NULL || conn->home != w)
        return false;
    if (conn->place == CONN_PARKED) {
        enum conn_result result = conn_drain(conn);
        if (result == CONN_GONE || (result == CONN_OK && !places_rewatch(&w->places, conn)))
            places_drop(&w->places, &conn);
        return false;
    }
    if (conn->place != CONN_KEPT && conn->place != CONN_PENDING)
        return false;
    *out = conn;
    return wait_progress(w, conn);
}

static bool wait_pop_ready(struct wait *w, struct conn **out)
{
    *out = w->places.lists[CONN_READY].first;
    if (*out == NULL)
        return false;
    places_move(&w->places, *out, CONN_BUSY, 0);
    return true;
}

/* ---- the end ---- */

static void wait_sweep_kept(struct wait *w, enum wait_sweep how)
{
    while (w->places.lists[CONN_KEPT].first != NULL)
        wait_sweep_oldest(w, how);
}

/* Waits for what was accepted but is not finished: incomplete headers, parked connections. For so
 * many milliseconds at the most. */
static void wait_linger(struct wait *w, int limit)
{
    struct pollfd fds[WAIT_LINGER_MAX];
    uint32_t serials[WAIT_LINGER_MAX];
    static const enum conn_place places[] = {CONN_PENDING, CONN_PARKED};
    nfds_t count = 0;
    (void)pthread_mutex_lock(&w->lock);
    int timeout = wait_expire(w);
    for (size_t i = 0; i < 2; i++)
        for (struct conn *c = w->places.lists[places[i]].first;
             c != NULL && count < WAIT_LINGER_MAX; c = c->next) {
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
        if (conn->place == CONN_PARKED && conn_drain(conn) == CONN_GONE)
            places_drop(&w->places, &conn);
        else if (conn->place == CONN_PENDING && wait_progress(w, conn))
            wait_ready(w, conn);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

static bool wait_queued(const struct wait *w)
{
    struct pollfd queue = {.fd = w->listener.fd, .events = POLLIN};
    return poll(&queue, 1, 0) == 1 && (queue.revents & POLLIN) != 0;
}

/* The listening socket is given up for good: the kernel wakes others for what comes next. But one
 * connection may be waiting for the very wake-up that the signal took the place of; and where the
 * whole pool gives the socket up, there are no others. True with a request; else it is closed, or
 * nothing can be taken before something else is finished. */
static bool wait_last_accept(struct wait *w, bool first, struct conn **out)
{
    enum wait_result result = WAIT_INTERRUPTED;
    if (first)
        (void)epoll_ctl(w->places.epfd, EPOLL_CTL_DEL, w->listener.fd, NULL);
    if (first && (drain_by_signal() || atomic_load(&w->threads) > 1))
        result = wait_take(w, out);
    while (result == WAIT_INTERRUPTED && board_forsaken() && wait_queued(w)) {
        result = wait_take(w, out);
        if (result == WAIT_INTERRUPTED && w->starved)
            return false;
    }
    if (result != WAIT_REQUEST || !board_forsaken())
        listener_close(&w->listener);
    return result == WAIT_REQUEST;
}

/* What this worker gave away last may find no sibling that is not draining too, where none is to
 * come. */
static void wait_take_back(struct wait *w)
{
    struct conn *conn = NULL;
    bool idle = false, leaver = false;
    while (!board_heirs() && handoff_fd() >= 0 && (conn = handoff_take(&idle, &leaver)) != NULL) {
        conn->home = w;
        if (idle && !conn_has_bytes(conn))
            places_drop(&w->places, &conn);
        else if (wait_progress(w, conn))
            wait_ready(w, conn);
    }
}

/* Any thread may take what is ready; one of them stays for what is not. */
static enum wait_result wait_drain(struct wait *w, struct conn **out)
{
    (void)pthread_mutex_lock(&w->lock);
    bool first = !w->draining;
    w->draining = true;
    (void)pthread_mutex_unlock(&w->lock);
    for (;; first = false) {
        if ((first || w->listener.fd >= 0) && wait_last_accept(w, first, out))
            return WAIT_REQUEST;
        (void)pthread_mutex_lock(&w->lock);
        wait_sweep_kept(w, board_heirs() ? WAIT_SWEEP_BEQUEATH : WAIT_SWEEP_CLOSE);
        wait_take_back(w);
        bool ready = wait_pop_ready(w, out);
        bool done = w->lingering || (w->places.lists[CONN_PENDING].first == NULL &&
                                     w->places.lists[CONN_PARKED].first == NULL);
        w->lingering = w->lingering || !(ready || done);
        (void)pthread_mutex_unlock(&w->lock);
        if (ready)
            return WAIT_REQUEST;
        if (done)
            return WAIT_DRAINED;
        wait_linger(w, INT_MAX);
        (void)pthread_mutex_lock(&w->lock);
        w->lingering = false;
        (void)pthread_mutex_unlock(&w->lock);
    }
}

/* ---- waiting ---- */

/* Under load the listen queue is never empty, and asking it directly saves the wait; but nothing
 * else may be neglected for longer than WAIT_EAGER_TIME. */
static bool wait_eager(struct wait *w)
{
    return luck_tries(&w->queue) &&
           w->places.lists[CONN_KEPT].count + w->places.lists[CONN_PENDING].count == 0 &&
           clock_tick() < atomic_load_explicit(&w->looked, memory_order_relaxed) + WAIT_EAGER_TIME;
}

static enum wait_result wait_take_eagerly(struct wait *w, struct conn **out)
{
    *out = NULL;
    enum wait_result result = wait_take(w, out);
    luck_tried(&w->queue, *out != NULL);
    return result;
}

static void wait_note_time(struct wait *w, uint64_t before, int events)
{
    int saved = errno;
    uint64_t now = clock_tick();
    atomic_store_explicit(&w->looked, now, memory_order_relaxed);
    if (now != before || events <= 0) {
        atomic_store_explicit(&w->blocked, now, memory_order_relaxed);
    } else if (now - atomic_load_explicit(&w->blocked, memory_order_relaxed) > WAIT_SIGNAL_TIME) {
        drain_poll();
        atomic_store_explicit(&w->blocked, now, memory_order_relaxed);
    }
    errno = saved;
}

/* Events taken before, or else a look at the kernel's. 1 with an event, 0 if the time is up, -1 for
 * an error. */
static int wait_event_next(struct wait *w, int timeout, struct epoll_event *event)
{
    struct epoll_event events[WAIT_BATCH];
    if (w->seen_next < w->seen_count) {
        *event = w->seen[w->seen_next++];
        wait_note_time(w, clock_tick(), 1);
        if (w->seen_next < w->seen_count)
            wait_nudge(w);
        return 1;
    }
    (void)pthread_mutex_unlock(&w->lock);
    board_state(OT_STATE_IDLE);
    uint64_t before = clock_tick();
    /* With other threads each takes one: what this one held back could wait for its request. */
    int most = atomic_load(&w->threads) == 1 ? WAIT_BATCH : 1;
    int n = epoll_pwait(w->places.epfd, events, most, timeout, drain_wait_mask());
    wait_note_time(w, before, n);
    (void)pthread_mutex_lock(&w->lock);
    if (n <= 0)
        return n;
    *event = events[0];
    if (n > 1) {
        memcpy(w->seen, events + 1, (size_t)(n - 1) * sizeof *events);
        w->seen_next = 0;
        w->seen_count = n - 1;
        wait_nudge(w); /* a thread that has joined meanwhile may have nothing else to wake it */
    }
    return 1;
}

static enum wait_result wait_turn(struct wait *w, bool tell_interrupts, struct conn **out)
{
    struct epoll_event event;
    (void)pthread_mutex_lock(&w->lock);
    int timeout = wait_expire(w);
    bool ready = wait_pop_ready(w, out);
    int n = ready ? 0 : wait_event_next(w, timeout, &event);
    bool of_conn = n > 0 && (int32_t)event.data.u64 >= 0;
    if (of_conn)
        ready = wait_event(w, event.data.u64, out);
    (void)pthread_mutex_unlock(&w->lock);
    if (ready)
        return WAIT_REQUEST;
    if (n < 0)
        return errno == EINTR && !(tell_interrupts && !drain_asked()) ? WAIT_INTERRUPTED
                                                                      : WAIT_FAILED;
    if (n > 0 && (int32_t)event.data.u64 == WAIT_TAG_LISTENER)
        return wait_take(w, out);
    if (n > 0 && (int32_t)event.data.u64 == WAIT_TAG_HANDOFF)
        return wait_take_handed(w, out);
    return WAIT_INTERRUPTED;
}

/* ---- setting up ---- */

static bool wait_add(const struct wait *w, int fd, int32_t tag, uint32_t events)
{
    struct epoll_event event = {.events = events};
    event.data.u64 = (uint32_t)tag;
    return epoll_ctl(w->places.epfd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool wait_open(struct wait *w, int asked, const char *addresses)
{
    memset(w, 0, sizeof *w);
    if (!listener_open(&w->listener, asked, addresses))
        return false;
    (void)pthread_mutex_init(&w->lock, NULL);
    w->asked = asked;
    w->places.epfd = epoll_create1(EPOLL_CLOEXEC);
    w->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->used =
        w->places.epfd >= 0 &&
        wait_add(w, w->listener.fd, WAIT_TAG_LISTENER, EPOLLIN | EPOLLEXCLUSIVE) && w->nudge >= 0 &&
        wait_add(w, w->nudge, WAIT_TAG_NUDGE, EPOLLIN | EPOLLET) &&
        (drain_fd() < 0 || wait_add(w, drain_fd(), WAIT_TAG_DRAIN, EPOLLIN)) &&
        (handoff_fd() < 0 || wait_add(w, handoff_fd(), WAIT_TAG_HANDOFF, EPOLLIN | EPOLLEXCLUSIVE));
    return w->used;
}

static struct wait *wait_find(int listener)
{
    for (size_t i = 0; i < WAIT_SETS; i++)
        if (wait_sets[i].used && wait_sets[i].asked == listener)
            return &wait_sets[i];
    return NULL;
}

static struct wait *wait_free_set(void)
{
    for (size_t i = 0; i < WAIT_SETS; i++)
        if (!wait_sets[i].used)
            return &wait_sets[i];
    errno = EMFILE;
    return NULL;
}

bool wait_has(int listener)
{
    (void)pthread_mutex_lock(&wait_sets_lock);
    bool has = wait_find(listener) != NULL;
    (void)pthread_mutex_unlock(&wait_sets_lock);
    return has;
}

static struct wait *wait_join(int listener, const char *addresses)
{
    if (wait_joined != NULL && wait_joined->asked == listener)
        return (struct wait *)(uintptr_t)wait_joined;
    drain_start();
    (void)pthread_mutex_lock(&wait_sets_lock);
    struct wait *w = wait_find(listener);
    if (w == NULL)
        w = wait_free_set();
    if (w != NULL && !w->used && !wait_open(w, listener, addresses))
        w = NULL;
    if (w != NULL)
        atomic_fetch_add(&w->threads, 1);
    (void)pthread_mutex_unlock(&wait_sets_lock);
    wait_joined = w;
    return w;
}

static enum wait_result wait_any(struct wait *w, bool tell_interrupts, struct conn **conn)
{
    for (;;) {
        enum wait_result result = WAIT_INTERRUPTED;
        if (drain_asked())
            return wait_drain(w, conn);
        if (wait_eager(w))
            result = wait_take_eagerly(w, conn);
        if (result == WAIT_INTERRUPTED && !drain_asked())
            result = wait_turn(w, tell_interrupts, conn);
        if (result == WAIT_FAILED && drain_asked())
            continue; /* another thread has closed the listening socket */
        if (result == WAIT_FAILED && errno == EINTR)
            return WAIT_INTERRUPTED;
        if (result != WAIT_INTERRUPTED)
            return result;
    }
}

/* The others that were accepted must not wait for this request if another worker is free. */
static void wait_share(struct wait *w)
{
    size_t count = w->places.lists[CONN_KEPT].count;
    bool kept = count > 0 && board_siblings() && share_begin(&w->share, clock_tick(), count);
    if (!kept && w->places.lists[CONN_PENDING].count + w->places.lists[CONN_READY].count == 0)
        return;
    (void)pthread_mutex_lock(&w->lock);
    places_give_all(&w->places, CONN_READY);
    places_give_all(&w->places, CONN_PENDING);
    if (kept)
        places_give_all(&w->places, CONN_KEPT);
    (void)pthread_mutex_unlock(&w->lock);
}

enum wait_result wait_next(int listener, const char *addresses, bool tell_interrupts,
                           struct conn **conn)
{
    struct wait *w = wait_join(listener, addresses);
    if (w != NULL && share_timed(&w->share))
        share_end(&w->share, clock_tick());
    enum wait_result result = w != NULL ? wait_any(w, tell_interrupts, conn) : WAIT_FAILED;
    if (result == WAIT_REQUEST && !drain_asked() && atomic_load(&w->threads) == 1)
        wait_share(w);
    return result;
}

/* A connection between two requests, with what has come of the next one. */
static void wait_rest(struct wait *w, struct conn *conn)
{
    places_move(&w->places, conn, CONN_KEPT, wait_setting(board_settings()->keepalive_timeout));
    /* The edge that announced more may have been another thread's, or come with the last read. */
    if ((conn->end > conn->start || !conn->drained || atomic_load(&w->threads) > 1) &&
        wait_progress(w, conn))
        wait_ready(w, conn);
}

void wait_keep(struct conn **conn)
{
    struct conn *c = *conn;
    struct wait *w = c->home;
    *conn = NULL;
    (void)pthread_mutex_lock(&w->lock);
    uint64_t max = board_settings()->keepalive_max;
    while (max > 0 && w->places.lists[CONN_KEPT].count >= max)
        wait_sweep_oldest(w, WAIT_SWEEP_GIVE);
    if ((max == 0 && !conn_has_bytes(c)) || !places_watch(&w->places, c))
        places_drop(&w->places, &c);
    else
        wait_rest(w, c);
    (void)pthread_mutex_unlock(&w->lock);
}

void wait_hand_over(struct conn **conn)
{
    struct conn *c = *conn;
    struct wait *w = c->home;
    *conn = NULL;
    (void)pthread_mutex_lock(&w->lock);
    if (!places_give(&w->places, &c) && places_watch(&w->places, c))
        wait_rest(w, c);
    else if (c != NULL)
        places_drop(&w->places, &c);
    (void)pthread_mutex_unlock(&w->lock);
}

void wait_close(struct conn **conn)
{
    struct wait *w = (*conn)->home;
    (void)pthread_mutex_lock(&w->lock);
    places_drop(&w->places, conn);
    (void)pthread_mutex_unlock(&w->lock);
}

void wait_park(struct conn **conn)
{
    struct wait *w = (*conn)->home;
    (void)pthread_mutex_lock(&w->lock);
    wait_park_locked(w, *conn);
    (void)pthread_mutex_unlock(&w->lock);
    *conn = NULL;
}

/* Closing them with unread input would take the end of their responses away from their clients. */
static void wait_leave_parked(struct wait *w)
{
    uint64_t deadline = clock_now() + WAIT_LEAVE_TIME;
    while (w->places.lists[CONN_PARKED].count > 0 && clock_now() < deadline)
        wait_linger(w, WAIT_SHORT_PAUSE);
}

void wait_leave(void)
{
    for (size_t i = 0; i < WAIT_SETS; i++) {
        struct wait *w = &wait_sets[i];
        if (!w->used)
            continue;
        (void)pthread_mutex_lock(&w->lock);
        wait_sweep_kept(w, WAIT_SWEEP_BEQUEATH);
        places_give_all(&w->places, CONN_READY);
        places_give_all(&w->places, CONN_PENDING);
        (void)pthread_mutex_unlock(&w->lock);
        wait_leave_parked(w);
    }
}

void wait_close_quiet(const struct conn *of)
{
    struct wait *w = of->home;
    (void)pthread_mutex_lock(&w->lock);
    wait_sweep_kept(w, WAIT_SWEEP_BEQUEATH);
    (void)pthread_mutex_unlock(&w->lock);
}

static void wait_abandon(struct wait *w)
{
    for (int place = 0; place < CONN_PLACES; place++)
        for (struct conn *conn = w->places.lists[place].first; conn != NULL; conn = conn->next)
            (void)close(conn->fd);
    (void)close(w->places.epfd);
    (void)close(w->nudge);
    listener_close(&w->listener);
    memset(w, 0, sizeof *w);
}

void wait_after_fork(void)
{
    for (size_t i = 0; i < WAIT_SETS; i++)
        if (wait_sets[i].used)
            wait_abandon(&wait_sets[i]);
    (void)pthread_mutex_init(&wait_sets_lock, NULL);
    wait_joined = NULL;
}
