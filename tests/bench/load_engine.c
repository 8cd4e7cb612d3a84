/* load_engine.c: see load_engine.h. */
#include "tests/bench/load_engine.h"

#include "tests/bench/load_clock.h"
#include "tests/bench/load_request.h"
#include "tests/bench/load_visits.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    READ_SIZE = 65536,
    FEW_CLIENTS = 32,
    FEW_VISITORS = 4 * FEW_CLIENTS /* busy, kept, thinking, and more than there ever are */
};

/* A listen queue that was full is tried again after this. */
#define RETRY_PAUSE (200 * 1000LL)

struct engine {
    const struct load_plan *plan;
    struct load_tally *tally;
    struct load_clock clock;
    struct load_heap heap;
    struct load_request requests[LOAD_KINDS_MAX];
    struct load_visits visits;
    unsigned in_flight;
    unsigned ready; /* clients of a closed loop that may ask at once */
    int64_t retry;  /* when a full listen queue is tried again; INT64_MAX = none is */
    int epoll;
    bool few; /* clients: they are polled, which costs less here and in the server than epoll */
    unsigned char buffer[READ_SIZE];
};

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
    (void)number;
    told_to_stop = 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * LOAD_S + now.tv_nsec;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static const struct load_kind *kind_of(const struct engine *engine,
                                       const struct load_visitor *visitor)
{
    return &engine->plan->kinds[visitor->kind];
}

static void forget(struct engine *engine, struct load_visitor *visitor)
{
    load_visits_close(visitor);
    load_heap_clear(&engine->heap, &visitor->timer);
    load_visits_move(&engine->visits, visitor, LOAD_FREE);
}

static void set_timer(struct engine *engine, struct load_visitor *visitor, int64_t at)
{
    if (load_heap_set(&engine->heap, &visitor->timer, at) != 0)
        engine->tally->short_of_memory = true;
}

static void watch(struct engine *engine, struct load_visitor *visitor, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET | EPOLLRDHUP,
                                .data.u64 = (uint64_t)visitor->generation << 32 | visitor->index};
    int how = visitor->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (!engine->few && epoll_ctl(engine->epoll, how, visitor->fd, &event) != 0)
        engine->tally->short_of_memory = true;
    visitor->watched = true;
}

/* ---- the end of a request ---- */

static void begin_request(struct engine *engine, struct load_visitor *visitor, int64_t now);

/* A client of a closed loop goes on: at once, or after its pause; after a failure at least a
 * millisecond later, so that a server that is gone is not hammered. */
static void client_goes_on(struct engine *engine, bool failed, int64_t now)
{
    int64_t pause = engine->plan->think;

    if (engine->plan->pattern != LOAD_CLOSED)
        return;
    if (failed && pause < LOAD_MS)
        pause = LOAD_MS;
    struct load_visitor *client = pause == 0 ? NULL : load_visits_new(&engine->visits);
    if (client == NULL) {
        engine->ready++;
        return;
    }
    load_visits_move(&engine->visits, client, LOAD_THINKING);
    set_timer(engine, client, now + pause);
}

static void finish(struct engine *engine, struct load_visitor *visitor, enum load_outcome outcome,
                   const char *detail, int64_t now)
{
    const struct load_kind *kind = kind_of(engine, visitor);
    struct load_visit told = {
        .kind = visitor->kind,
        .outcome = outcome,
        .due = visitor->due,
        .start = visitor->start,
        .sent = visitor->sent,
        .first = visitor->first,
        .end = now,
        .latency = now - visitor->due - kind->send_time,
    };

    (void)stpncpy(told.detail, detail, sizeof told.detail - 1);
    engine->tally->messages += visitor->answer.messages;
    engine->tally->delayed += visitor->was_full;
    load_tally_visit(engine->tally, &told);
    engine->in_flight--;
    /* Like a web server: a connection that was answered before all was sent is not used again. */
    if (outcome == LOAD_OK && kind->keep && visitor->sent != 0) {
        load_heap_clear(&engine->heap, &visitor->timer);
        load_visits_move(&engine->visits, visitor, LOAD_KEPT);
    } else {
        forget(engine, visitor);
    }
    client_goes_on(engine, outcome != LOAD_OK, now);
}

/* The peer ended or reset the connection. */
static void lost(struct engine *engine, struct load_visitor *visitor, int error, int64_t now)
{
    bool silent = visitor->first == 0;
    const char *detail = error == 0 ? "end of the connection" : strerror(error);

    if (visitor->reused && silent && !visitor->retried) {
        /* As a web server does: a kept connection that turns out to be closed says nothing. */
        engine->tally->reconnects++;
        load_visits_close(visitor);
        visitor->reused = false;
        visitor->retried = true;
        begin_request(engine, visitor, now);
        return;
    }
    if (error != 0)
        finish(engine, visitor, LOAD_RESET, detail, now);
    else
        finish(engine, visitor, silent ? LOAD_CLOSED_UNANSWERED : LOAD_TRUNCATED, detail, now);
}

/* ---- receiving ---- */

/* END_REQUEST is there and, unless the connection is kept, so is its end. */
static void complete(struct engine *engine, struct load_visitor *visitor, int64_t now)
{
    const char *wrong = load_answer_judge(&visitor->answer, &kind_of(engine, visitor)->expect);

    if (visitor->answer.trailing)
        finish(engine, visitor, LOAD_TRAILING, "bytes after END_REQUEST", now);
    else if (wrong != NULL)
        finish(engine, visitor, LOAD_WRONG, wrong, now);
    else
        finish(engine, visitor, LOAD_OK, "", now);
}

/* An idle kept connection: its end is in order, bytes are not. */
static void look_at_kept(struct engine *engine, struct load_visitor *visitor)
{
    ssize_t got = recv(visitor->fd, engine->buffer, sizeof engine->buffer, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        load_tally_spoil(engine->tally, visitor->kind, now_ns());
    else
        engine->tally->closed_idle++;
    forget(engine, visitor);
}

/* One read; true if more may be there and the visitor goes on. `hung_up`: no more will be sent. */
static bool receive_once(struct engine *engine, struct load_visitor *visitor, size_t size,
                         bool hung_up)
{
    const struct load_kind *kind = kind_of(engine, visitor);
    ssize_t got = recv(visitor->fd, engine->buffer, size, 0);
    int error = got < 0 ? errno : 0;
    int64_t now = now_ns();

    if (got < 0 && (error == EAGAIN || error == EINTR))
        return error == EINTR;
    if (got > 0) {
        if (visitor->first == 0)
            visitor->first = now;
        load_answer_feed(&visitor->answer, &kind->expect, engine->buffer, (size_t)got);
        if (kind->keep && visitor->answer.ended) {
            complete(engine, visitor, now);
            /* The end behind it has been announced, and will not be again. */
            if (hung_up && visitor->state == LOAD_KEPT)
                look_at_kept(engine, visitor);
            return false;
        }
        /* After a short read there is no more; with the peer's end behind it, this was all. */
        if (!hung_up || (size_t)got == size)
            return (size_t)got == size;
    }
    if (got < 0 || !visitor->answer.ended)
        lost(engine, visitor, error, now);
    else
        complete(engine, visitor, now);
    return false;
}

static void receive(struct engine *engine, struct load_visitor *visitor, uint32_t events)
{
    bool hung_up = (events & (EPOLLRDHUP | EPOLLHUP)) != 0 && (events & EPOLLERR) == 0;

    while (receive_once(engine, visitor, sizeof engine->buffer, hung_up))
        continue;
}

/* ---- sending ---- */

static int64_t deadline(const struct engine *engine, const struct load_visitor *visitor)
{
    const struct load_kind *kind = kind_of(engine, visitor);
    return visitor->due + kind->send_time + kind->timeout;
}

/* How much of a slow sender's request may be out by now. */
static size_t allowed(const struct load_kind *kind, const struct load_visitor *visitor, size_t size,
                      int64_t now)
{
    if (kind->send_pieces < 2)
        return size;
    int64_t pause = kind->send_time / (kind->send_pieces - 1);
    int64_t pieces = pause == 0 ? kind->send_pieces : (now - visitor->due) / pause + 1;
    return pieces >= kind->send_pieces ? size : size * (size_t)pieces / kind->send_pieces;
}

static int64_t next_piece(const struct load_kind *kind, const struct load_visitor *visitor,
                          int64_t now)
{
    int64_t pause = kind->send_time / (kind->send_pieces - 1);
    return visitor->due + ((now - visitor->due) / pause + 1) * pause;
}

static void all_sent(struct engine *engine, struct load_visitor *visitor, int64_t now)
{
    const struct load_kind *kind = kind_of(engine, visitor);

    visitor->sent = now;
    load_visits_move(&engine->visits, visitor, LOAD_RECEIVING);
    if (kind->read_pause > 0)
        set_timer(engine, visitor, now + kind->read_pause);
    else
        set_timer(engine, visitor, deadline(engine, visitor));
    if (!visitor->watched)
        watch(engine, visitor, EPOLLIN);
}

/* Sends what it can; what comes meanwhile is read by events. */
static void send_some(struct engine *engine, struct load_visitor *visitor)
{
    const struct load_kind *kind = kind_of(engine, visitor);
    const struct load_request *request = &engine->requests[visitor->kind];
    int64_t now = now_ns();
    size_t until = allowed(kind, visitor, request->size, now);

    while (visitor->out < until) {
        ssize_t done = load_request_send(request, visitor->fd, visitor->out, until - visitor->out);
        if (done >= 0) {
            visitor->out += (size_t)done;
        } else if (errno == EAGAIN) {
            if (!visitor->watched)
                watch(engine, visitor, EPOLLIN | EPOLLOUT);
            return;
        } else if (errno != EINTR) {
            /* An answer, or the reset, may be there to be read: then that is the news. */
            int error = errno;
            unsigned generation = visitor->generation;
            if (visitor->watched && visitor->out > 0)
                receive(engine, visitor, 0);
            if (visitor->generation == generation && visitor->state == LOAD_SENDING)
                lost(engine, visitor, error, now_ns());
            return;
        }
    }
    if (visitor->out == request->size) {
        all_sent(engine, visitor, now_ns());
        return;
    }
    if (!visitor->watched)
        watch(engine, visitor, EPOLLIN | EPOLLOUT);
    set_timer(engine, visitor, earlier(next_piece(kind, visitor, now), deadline(engine, visitor)));
}

/* ---- connecting ---- */

static void connected(struct engine *engine, struct load_visitor *visitor)
{
    engine->tally->connections++;
    load_visits_move(&engine->visits, visitor, LOAD_SENDING);
    send_some(engine, visitor);
}

static int open_socket(const struct load_target *target)
{
    int fd = socket(target->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;

    if (fd >= 0 && target->address.any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Tries to connect; false if the listen queue is full. */
static bool try_connect(struct engine *engine, struct load_visitor *visitor)
{
    const struct load_target *target = &kind_of(engine, visitor)->target;

    if (visitor->fd < 0)
        visitor->fd = open_socket(target);
    if (visitor->fd < 0) {
        finish(engine, visitor, LOAD_UNSENT, strerror(errno), now_ns());
        return true;
    }
    if (connect(visitor->fd, &target->address.any, target->size) == 0) {
        connected(engine, visitor);
    } else if (errno == EINPROGRESS) {
        load_visits_move(&engine->visits, visitor, LOAD_CONNECTING);
        watch(engine, visitor, EPOLLIN | EPOLLOUT);
    } else if (errno == EAGAIN && target->address.any.sa_family == AF_UNIX) {
        engine->tally->backlog_full++;
        visitor->was_full = true;
        return false;
    } else {
        bool refused = errno == ECONNREFUSED || errno == ENOENT;
        finish(engine, visitor, refused ? LOAD_REFUSED : LOAD_CONNECT, strerror(errno), now_ns());
    }
    return true;
}

static void on_connecting(struct engine *engine, struct load_visitor *visitor)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(visitor->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error == 0)
        connected(engine, visitor);
    else
        finish(engine, visitor, error == ECONNREFUSED ? LOAD_REFUSED : LOAD_CONNECT,
               strerror(error), now_ns());
}

/* Those that wait for a full listen queue get their turn in the order in which they came. */
static void retry_waiting(struct engine *engine, int64_t now)
{
    engine->retry = INT64_MAX;
    for (size_t i = 0; i < engine->plan->kind_count; i++)
        while (engine->visits.waiting[i].head != NULL)
            if (!try_connect(engine, engine->visits.waiting[i].head)) {
                engine->retry = now + RETRY_PAUSE;
                break;
            }
}

/* ---- starting ---- */

/* The request of a visitor without a descriptor yet. */
static void begin_request(struct engine *engine, struct load_visitor *visitor, int64_t now)
{
    visitor->out = 0;
    visitor->sent = visitor->first = 0;
    visitor->answer = (struct load_answer){0};
    set_timer(engine, visitor, deadline(engine, visitor));
    if (engine->visits.waiting[visitor->kind].head == NULL && try_connect(engine, visitor))
        return;
    load_visits_move(&engine->visits, visitor, LOAD_WAITING);
    engine->retry = earlier(engine->retry, now + RETRY_PAUSE);
}

static void start_request(struct engine *engine, int64_t due, int64_t now)
{
    size_t kind = load_clock_kind(&engine->clock);
    struct load_visitor *kept = engine->visits.kept[kind].head;
    struct load_visitor *visitor = kept != NULL ? kept : load_visits_new(&engine->visits);

    if (visitor == NULL) {
        engine->tally->short_of_memory = true;
        return;
    }
    visitor->kind = kind;
    visitor->due = due;
    visitor->start = now;
    visitor->reused = kept != NULL;
    visitor->retried = visitor->was_full = false;
    engine->in_flight++;
    if (engine->in_flight > engine->tally->in_flight_most)
        engine->tally->in_flight_most = engine->in_flight;
    if (kept == NULL) {
        begin_request(engine, visitor, now);
        return;
    }
    visitor->out = 0;
    visitor->sent = visitor->first = 0;
    visitor->answer = (struct load_answer){0};
    set_timer(engine, visitor, deadline(engine, visitor));
    load_visits_move(&engine->visits, visitor, LOAD_SENDING);
    send_some(engine, visitor);
}

static void start_due(struct engine *engine)
{
    struct load_clock *clock = &engine->clock;

    if (told_to_stop)
        load_clock_stop(clock);
    if (engine->plan->pattern != LOAD_CLOSED) {
        for (int64_t now = now_ns(); clock->next <= now; now = now_ns()) {
            int64_t due = clock->next;
            load_clock_step(clock);
            start_request(engine, due, now);
        }
        return;
    }
    for (unsigned left = engine->ready; left > 0 && clock->next != INT64_MAX; left--) {
        int64_t now = now_ns();
        engine->ready--;
        if (engine->plan->length > 0 && now >= clock->begin + engine->plan->length) {
            load_clock_stop(clock);
            return;
        }
        load_clock_step(clock);
        start_request(engine, now, now);
    }
}

/* ---- timers and events ---- */

static void on_timer(struct engine *engine, struct load_visitor *visitor, int64_t now)
{
    const struct load_kind *kind = kind_of(engine, visitor);

    if (visitor->state == LOAD_THINKING) {
        forget(engine, visitor);
        engine->ready++;
    } else if (now >= deadline(engine, visitor)) {
        static const char *const details[] = {
            [LOAD_WAITING] = "in front of a full listen queue",
            [LOAD_CONNECTING] = "connecting",
            [LOAD_SENDING] = "sending",
            [LOAD_RECEIVING] = "no answer",
            [LOAD_KEPT] = "kept",
        };
        const char *detail = details[visitor->state];
        if (visitor->answer.ended)
            detail = "the connection was not closed";
        else if (visitor->first != 0)
            detail = "in the midst of the answer";
        finish(engine, visitor, LOAD_TIMEOUT, detail, now);
    } else if (visitor->state == LOAD_SENDING) {
        send_some(engine, visitor);
    } else if (visitor->state == LOAD_RECEIVING) {
        /* A slow reader takes its next bite. */
        unsigned generation = visitor->generation;
        (void)receive_once(engine, visitor, kind->read_size, false);
        if (visitor->generation == generation && visitor->state == LOAD_RECEIVING)
            set_timer(engine, visitor, earlier(now + kind->read_pause, deadline(engine, visitor)));
    }
}

static void run_timers(struct engine *engine)
{
    int64_t now = now_ns();

    for (struct load_timer *timer = load_heap_first(&engine->heap);
         timer != NULL && timer->at <= now; timer = load_heap_first(&engine->heap)) {
        struct load_visitor *visitor = (struct load_visitor *)(void *)timer;
        load_heap_clear(&engine->heap, timer);
        on_timer(engine, visitor, now);
    }
    if (engine->retry <= now)
        retry_waiting(engine, now);
}

static void on_event(struct engine *engine, const struct epoll_event *event)
{
    struct load_visitor *visitor = engine->visits.table[(uint32_t)event->data.u64];
    unsigned generation = (unsigned)(event->data.u64 >> 32);

    if (visitor->generation != generation)
        return;
    if (visitor->state == LOAD_CONNECTING)
        on_connecting(engine, visitor);
    if (visitor->generation == generation && visitor->state == LOAD_SENDING &&
        event->events & EPOLLOUT)
        send_some(engine, visitor);
    if (visitor->generation != generation)
        return;
    if (visitor->state == LOAD_KEPT)
        look_at_kept(engine, visitor);
    else if ((visitor->state == LOAD_RECEIVING || visitor->state == LOAD_SENDING) &&
             kind_of(engine, visitor)->read_pause == 0)
        receive(engine, visitor, event->events);
}

static void wait_for_many(struct engine *engine, const struct timespec *pause)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_pwait2(engine->epoll, events, EVENTS_MAX, pause, NULL);

    for (int i = 0; i < count; i++)
        on_event(engine, &events[i]);
}

/* Without a call for each connection; poll and epoll name their events alike. */
static void wait_for_few(struct engine *engine, const struct timespec *pause)
{
    struct pollfd fds[FEW_VISITORS];
    struct epoll_event events[FEW_VISITORS];
    nfds_t count = 0;

    for (unsigned i = 0; i < engine->visits.size && count < FEW_VISITORS; i++) {
        const struct load_visitor *visitor = engine->visits.table[i];
        bool sending = visitor->state == LOAD_CONNECTING || visitor->state == LOAD_SENDING;
        if (!visitor->watched)
            continue;
        fds[count].fd = visitor->fd;
        fds[count].events = (short)(POLLIN | POLLRDHUP | (sending ? POLLOUT : 0));
        events[count].data.u64 = (uint64_t)visitor->generation << 32 | visitor->index;
        count++;
    }
    if (ppoll(fds, count, pause, NULL) <= 0)
        return;
    for (nfds_t i = 0; i < count; i++) {
        events[i].events = (uint32_t)fds[i].revents;
        if (fds[i].revents != 0)
            on_event(engine, &events[i]);
    }
}

static void wait_events(struct engine *engine)
{
    struct load_timer *timer = load_heap_first(&engine->heap);
    int64_t wake = earlier(engine->retry, timer == NULL ? INT64_MAX : timer->at);
    bool closed = engine->plan->pattern == LOAD_CLOSED;
    struct timespec pause = {0};

    if (!closed)
        wake = earlier(wake, engine->clock.next);
    int64_t left = wake == INT64_MAX ? LOAD_S : wake - now_ns();
    if (left > LOAD_S)
        left = LOAD_S; /* a signal may have come just before we wait */
    if (left > 0 && !(closed && engine->ready > 0 && engine->clock.next != INT64_MAX))
        pause = (struct timespec){.tv_sec = left / LOAD_S, .tv_nsec = left % LOAD_S};
    if (engine->few)
        wait_for_few(engine, &pause);
    else
        wait_for_many(engine, &pause);
}

/* ---- the run ---- */

/* Few clients, none of which leaves lying what it could read or send. */
static bool are_few(const struct load_plan *plan)
{
    bool few = plan->pattern == LOAD_CLOSED && plan->clients <= FEW_CLIENTS;

    for (size_t i = 0; i < plan->kind_count; i++)
        few = few && plan->kinds[i].read_pause == 0 && plan->kinds[i].send_pieces < 2;
    return few;
}

static int prepare(struct engine *engine)
{
    struct rlimit files;
    struct sigaction stop = {.sa_handler = on_signal};

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Otherwise the kernel may let us sleep 50 us longer than asked for. */
    (void)prctl(PR_SET_TIMERSLACK, 1);
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a worker that is gone is a failure like others */
    for (size_t i = 0; i < engine->plan->kind_count; i++)
        if (load_request_make(&engine->requests[i], &engine->plan->kinds[i]) != 0) {
            errno = ENOMEM;
            return -1;
        }
    engine->epoll = epoll_create1(EPOLL_CLOEXEC);
    return engine->epoll < 0 ? -1 : 0;
}

static void clean_up(struct engine *engine)
{
    load_visits_free(&engine->visits);
    for (size_t i = 0; i < engine->plan->kind_count; i++)
        load_request_free(&engine->requests[i]);
    load_heap_free(&engine->heap);
    if (engine->epoll >= 0)
        close(engine->epoll);
}

int load_engine_run(const struct load_plan *plan, struct load_tally *tally)
{
    struct engine *engine = calloc(1, sizeof *engine);

    if (engine == NULL)
        return -1;
    engine->plan = plan;
    engine->tally = tally;
    engine->retry = INT64_MAX;
    engine->few = are_few(plan);
    engine->ready = plan->pattern == LOAD_CLOSED ? plan->clients : 0;
    engine->epoll = -1;
    if (prepare(engine) != 0) {
        clean_up(engine);
        free(engine);
        return -1;
    }
    tally->begin = now_ns();
    load_clock_start(&engine->clock, plan, tally->begin);
    while (engine->clock.next != INT64_MAX || engine->in_flight > 0) {
        start_due(engine);
        run_timers(engine);
        if (engine->clock.next != INT64_MAX || engine->in_flight > 0)
            wait_events(engine);
    }
    tally->end = now_ns();
    clean_up(engine);
    free(engine);
    return 0;
}
