/* conn.c: see conn.h. */
#include "sapi-shim/connection/conn.h"

#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONN_FDS = 65536,           /* higher descriptors are refused */
    CONN_FIRST_CAPACITY = 8192, /* holds the header of nearly every request */
    CONN_MANAGEMENT_MAX = 4096, /* content of a management record we read */
    CONN_LONG = 16384,     /* bytes read past the buffer that are worth a call of their own ... */
    CONN_NEXT = 64,        /* ... which takes the next record's header as well, and little more */
    CONN_SLEEP = 1,        /* s that a read waits itself */
    CONN_DRAIN_READS = 64, /* a turn of draining, so that one peer cannot hold the thread */
};

static _Atomic(struct conn *) conn_table[CONN_FDS];
static _Atomic uint32_t conn_serial;
static atomic_bool conn_children;
static _Thread_local struct conn *conn_spare; /* the last one freed: no malloc per request */

static struct conn *conn_new(void)
{
    struct conn *conn = conn_spare;
    conn_spare = NULL;
    if (conn == NULL) {
        conn = malloc(sizeof *conn);
        unsigned char *buffer = malloc(CONN_FIRST_CAPACITY);
        if (conn == NULL || buffer == NULL) {
            free(conn);
            free(buffer);
            return NULL;
        }
        *conn = (struct conn){.buffer = buffer, .capacity = CONN_FIRST_CAPACITY};
    }
    unsigned char *buffer = conn->buffer;
    size_t capacity = conn->capacity;
    *conn = (struct conn){.fd = -1, .buffer = buffer, .capacity = capacity};
    return conn;
}

static void conn_delete(struct conn *conn)
{
    if (conn_spare == NULL && conn->capacity == CONN_FIRST_CAPACITY) {
        conn_spare = conn;
        return;
    }
    free(conn->buffer);
    free(conn);
}

struct conn *conn_open(int fd, bool is_tcp)
{
    struct conn *conn = fd >= 0 && fd < CONN_FDS ? conn_new() : NULL;
    if (conn == NULL) {
        (void)close(fd);
        return NULL;
    }
    conn->fd = fd;
    conn->is_tcp = is_tcp;
    conn->serial = atomic_fetch_add_explicit(&conn_serial, 1, memory_order_relaxed);
    atomic_store_explicit(&conn_table[fd], conn, memory_order_release);
    return conn;
}

struct conn *conn_find(int fd)
{
    if (fd < 0 || fd >= CONN_FDS)
        return NULL;
    return atomic_load_explicit(&conn_table[fd], memory_order_acquire);
}

/* Writes a small record of our own without waiting; a peer that leaves no room for it is broken. */
static void conn_send_record(struct conn *conn, const unsigned char *record, size_t size)
{
    ssize_t n = send(conn->fd, record, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n != (ssize_t)size)
        conn->broken = true;
}

/* Answers a management record; false while it has not arrived whole. */
static bool conn_manage(struct conn *conn, const struct frame_record *record)
{
    unsigned char answer[FRAME_ANSWER_MAX];
    size_t size = 0;
    if (record->content > CONN_MANAGEMENT_MAX) {
        conn->broken = true;
        return false;
    }
    if (conn->end - conn->ready < record->size)
        return false;
    if (record->kind == FRAME_VALUES)
        size =
            frame_values_answer(conn->buffer + conn->ready + FRAME_HEADER, record->content, answer);
    else
        size = frame_unknown_answer(record->type, answer);
    if (size == 0)
        conn->broken = true;
    else
        conn_send_record(conn, answer, size);
    return size != 0;
}

/* libfcgi takes the padding of a record that ends a stream for the next record's header. */
static void conn_strip_padding(struct conn *conn, const struct frame_record *record)
{
    conn->buffer[conn->ready + 6] = 0;
    conn->pass_left = FRAME_HEADER;
    conn->cut_left = record->size - FRAME_HEADER;
}

/* Handles the record at `ready`. False when the walk cannot go on now. */
static bool conn_walk_record(struct conn *conn)
{
    unsigned char answer[FRAME_ANSWER_MAX];
    struct frame_record record =
        frame_next(&conn->frame, conn->buffer + conn->ready, conn->end - conn->ready);
    switch (record.kind) {
    case FRAME_MORE:
    case FRAME_HOLD:
        return false;
    case FRAME_BAD:
        conn->broken = true;
        return false;
    case FRAME_VALUES:
    case FRAME_UNKNOWN:
        if (!conn_manage(conn, &record))
            return false;
        break;
    case FRAME_SECOND:
        conn_send_record(conn, answer, frame_end_request(record.id, FRAME_CANT_MPX_CONN, answer));
        break;
    case FRAME_ABORT:
        conn->aborted = true;
        break;
    case FRAME_PASS:
    case FRAME_DROP:
        break;
    }
    conn->passing = record.kind == FRAME_PASS;
    conn->pass_left = record.size;
    if (conn->passing && record.content == 0)
        conn_strip_padding(conn, &record);
    return true;
}

/* Tells apart what is in [ready, end). Returns where the bytes for libfcgi end; what lies between
 * there and `ready` is nobody's. */
static size_t conn_walk_records(struct conn *conn)
{
    size_t kept = conn->ready;
    while (!conn->broken) {
        if (conn->pass_left == 0 && conn->cut_left > 0) {
            conn->pass_left = conn->cut_left;
            conn->cut_left = 0;
            conn->passing = false;
        }
        if (conn->pass_left == 0) {
            if (!conn_walk_record(conn))
                break;
            continue;
        }
        size_t there = conn->end - conn->ready;
        size_t n = conn->pass_left < there ? conn->pass_left : there;
        if (n == 0)
            break;
        if (conn->passing) {
            if (kept < conn->ready)
                memmove(conn->buffer + kept, conn->buffer + conn->ready, n);
            kept += n;
        }
        conn->ready += n;
        conn->pass_left -= n;
    }
    return kept;
}

/* Every byte is moved once, however many records between them are dropped. */
static void conn_walk(struct conn *conn)
{
    size_t kept = conn_walk_records(conn);
    if (kept == conn->ready)
        return;
    memmove(conn->buffer + kept, conn->buffer + conn->ready, conn->end - conn->ready);
    conn->end -= conn->ready - kept;
    conn->ready = kept;
}

/* Makes room to read into: gives back what libfcgi has had, and grows while the header is longer
 * than the buffer. Records have headers and padding, so the bound is the limit and as much again.
 */
static bool conn_make_room(struct conn *conn, size_t limit)
{
    if (conn->start > 0) {
        memmove(conn->buffer, conn->buffer + conn->start, conn->end - conn->start);
        conn->ready -= conn->start;
        conn->end -= conn->start;
        conn->start = 0;
    }
    if (conn->end < conn->capacity)
        return true;
    size_t bound = 2 * limit + CONN_FIRST_CAPACITY;
    if (conn->capacity >= bound) {
        conn->too_large = true;
        return false;
    }
    size_t capacity = 2 * conn->capacity < bound ? 2 * conn->capacity : bound;
    unsigned char *buffer = realloc(conn->buffer, capacity);
    if (buffer == NULL) {
        conn->too_large = true;
        return false;
    }
    conn->buffer = buffer;
    conn->capacity = capacity;
    return true;
}

/* One read, with MSG_DONTWAIT in `flags` or 0: up to `direct` bytes go to `into`, the next ones
 * into the free room of the buffer. *count is how many of the former there were. */
static enum conn_result conn_receive_split(struct conn *conn, void *into, size_t direct, int flags,
                                           size_t *count)
{
    size_t room = conn->capacity - conn->end;
    if (direct >= CONN_LONG && room > CONN_NEXT)
        room = CONN_NEXT;
    struct iovec parts[] = {
        {.iov_base = into, .iov_len = direct},
        {.iov_base = conn->buffer + conn->end, .iov_len = room},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = 0;
    *count = 0;
    do {
        n = direct > 0 ? recvmsg(conn->fd, &message, flags)
                       : recv(conn->fd, conn->buffer + conn->end, room, flags);
    } while (n < 0 && errno == EINTR && flags != 0); /* one that waits shall look at the time */
    if (n > 0) {
        conn->drained = (size_t)n < direct + room;
        *count = (size_t)n < direct ? (size_t)n : direct;
        conn->end += (size_t)n - *count;
        return CONN_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        conn->drained = true;
        return CONN_AGAIN;
    }
    conn->eof = true;
    conn->gone = conn->gone || n < 0;
    return CONN_GONE;
}

static enum conn_result conn_receive(struct conn *conn)
{
    size_t none = 0;
    return conn_receive_split(conn, NULL, 0, MSG_DONTWAIT, &none);
}

bool conn_has_header(const struct conn *conn)
{
    return conn->frame.phase > FRAME_PARAMS;
}

/* The pieces move together to the front, and BEGIN_REQUEST to the empty record that ends them: each
 * piece had a header, so that there is room. */
const unsigned char *conn_take_params(struct conn *conn, size_t *count)
{
    unsigned char begin[FRAME_HEADER + FRAME_BEGIN_BODY];
    unsigned char *content = conn->buffer + conn->start;
    unsigned char *record = content;
    size_t size = 0;
    memcpy(begin, record, sizeof begin);
    begin[6] = 0; /* its padding stays behind */
    (void)frame_content(record, &size);
    record += size;
    *count = 0;
    for (size_t piece = 0; (piece = frame_content(record, &size)) > 0; record += size) {
        memmove(content + *count, record + FRAME_HEADER, piece);
        *count += piece;
    }
    record -= sizeof begin;
    memcpy(record, begin, sizeof begin);
    conn->start = (size_t)(record - conn->buffer);
    return content;
}

bool conn_input_complete(const struct conn *conn)
{
    return conn->frame.phase == FRAME_COMPLETE;
}

enum conn_result conn_fill(struct conn *conn, size_t limit)
{
    enum conn_result result = CONN_AGAIN;
    conn_walk(conn); /* bytes of the next request may have come with the last one */
    while (!conn_has_header(conn) && !conn->broken && !conn->too_large) {
        if (!conn_make_room(conn, limit))
            break;
        enum conn_result got = conn_receive(conn);
        if (got != CONN_OK)
            return got == CONN_GONE ? CONN_GONE : result;
        result = CONN_OK;
        conn_walk(conn);
        if (conn->frame.params_bytes > limit)
            conn->too_large = true;
        if (conn->drained)
            break;
    }
    return conn->broken ? CONN_GONE : CONN_OK;
}

/* Waits for room or input. CONN_AGAIN means that it was worth waiting: try again. */
static enum conn_result conn_wait(const struct conn *conn, short events, uint64_t deadline)
{
    struct pollfd p = {.fd = conn->fd, .events = events};
    int n = poll(&p, 1, clock_timeout_ms(deadline, deadline == 0 ? 0 : clock_ns()));
    if (n < 0 && errno != EINTR)
        return CONN_GONE;
    return n == 0 ? CONN_LATE : CONN_AGAIN;
}

/* Nothing of a body has come and all records are whole, as in most requests: no need to tell them
 * apart. */
static bool conn_is_plain(const struct conn *conn)
{
    return conn->frame.body_bytes == 0 && conn->pass_left == 0 && stdin_split_is_idle(&conn->feed);
}

void conn_read_rest(struct conn *conn, void *into, size_t size, size_t *count)
{
    size_t there = conn->ready - conn->start;
    size_t used = 0;
    if (there <= size && conn_is_plain(conn)) {
        memcpy(into, conn->buffer + conn->start, there);
        *count = there;
        conn->start += there;
        return;
    }
    *count = stdin_split_records(&conn->feed, conn->frame.id, conn->buffer + conn->start, there,
                                 into, size, &used);
    conn->start += used;
}

static void conn_read_content(struct conn *conn, void *into, size_t size, size_t *count)
{
    size_t used = 0;
    *count = stdin_split_content(&conn->feed, conn->buffer + conn->start, conn->ready - conn->start,
                                 into, size, &used);
    conn->start += used;
}

/* Where nothing is left in the buffer and a record goes on, `due` bytes of it, they need no detour.
 */
static enum conn_result conn_receive_through(struct conn *conn, void *into, size_t due, int flags,
                                             size_t *count)
{
    size_t most = conn->start == conn->end ? due : 0;
    enum conn_result result = conn_receive_split(conn, into, most, flags, count);
    conn->pass_left -= *count;
    stdin_split_went(&conn->feed, *count);
    return result;
}

/* Who reads, and what of the buffer and of the record that goes on is for that. */
struct conn_reader {
    void (*copy)(struct conn *conn, void *into, size_t size, size_t *count);
    size_t (*due)(const struct stdin_split *feed);
};

/* May a read itself wait? That is fewer calls where the peer is the slower one. It waits for a
 * moment only, and where the deadline is not within that. */
static bool conn_may_sleep(struct conn *conn, uint64_t deadline)
{
    const struct timeval moment = {.tv_sec = CONN_SLEEP};
    if (deadline == 0)
        return true;
    if (!conn->timed)
        conn->timed = setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment) == 0;
    return conn->timed && deadline > clock_ns() + CONN_SLEEP * 1000 * CLOCK_NS_PER_MS;
}

static enum conn_result conn_read_by(const struct conn_reader *reader, struct conn *conn,
                                     void *into, size_t size, uint64_t deadline, size_t *count)
{
    for (;;) {
        reader->copy(conn, into, size, count);
        if (*count > 0 || conn_input_complete(conn))
            return CONN_OK;
        if (conn->broken || conn->eof || conn->aborted)
            return CONN_GONE;
        if (!conn_make_room(conn, 0)) {
            conn->broken = true;
            return CONN_GONE;
        }
        size_t due = reader->due(&conn->feed);
        int flags = conn_may_sleep(conn, deadline) ? 0 : MSG_DONTWAIT;
        enum conn_result got =
            conn_receive_through(conn, into, size < due ? size : due, flags, count);
        if (got == CONN_AGAIN)
            got = conn_wait(conn, POLLIN, deadline);
        if (got == CONN_LATE || got == CONN_GONE)
            return got;
        conn_walk(conn);
        if (*count > 0)
            return CONN_OK;
    }
}

enum conn_result conn_read(struct conn *conn, void *into, size_t size, uint64_t deadline,
                           size_t *count)
{
    static const struct conn_reader libfcgi = {.copy = conn_read_rest,
                                               .due = stdin_split_records_due};
    return conn_read_by(&libfcgi, conn, into, size, deadline, count);
}

bool conn_may_read_body(const struct conn *conn)
{
    return conn->fd >= 0 && !frame_is_filter(&conn->frame) && stdin_split_may_content(&conn->feed);
}

enum conn_result conn_read_body(struct conn *conn, void *into, size_t size, uint64_t deadline,
                                size_t *count)
{
    static const struct conn_reader body = {.copy = conn_read_content,
                                            .due = stdin_split_content_due};
    return conn_read_by(&body, conn, into, size, deadline, count);
}

/* Leaves what is still to be sent in *parts. */
static void conn_sent(struct msghdr *message, size_t size)
{
    while (message->msg_iovlen > 0 && size >= message->msg_iov->iov_len) {
        size -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (message->msg_iovlen > 0) {
        message->msg_iov->iov_base = (unsigned char *)message->msg_iov->iov_base + size;
        message->msg_iov->iov_len -= size;
    }
}

static ssize_t conn_send(const struct conn *conn, const struct msghdr *message)
{
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (conn->last ? MSG_MORE : 0);
    const struct iovec *part = message->msg_iov;
    return message->msg_iovlen == 1 ? send(conn->fd, part->iov_base, part->iov_len, flags)
                                    : sendmsg(conn->fd, message, flags);
}

static enum conn_result conn_write_all(struct conn *conn, struct msghdr *message, uint64_t deadline)
{
    while (message->msg_iovlen > 0) {
        if (conn->gone || conn->broken)
            return CONN_GONE;
        ssize_t n = conn_send(conn, message);
        if (n >= 0) {
            conn_sent(message, (size_t)n);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            conn->gone = true;
            return CONN_GONE;
        }
        if (conn_wait(conn, POLLOUT, deadline) == CONN_LATE) {
            conn->broken = true; /* part of a record may be out: nothing sane can follow */
            return CONN_LATE;
        }
    }
    return CONN_OK;
}

enum conn_result conn_write_parts(struct conn *conn, struct iovec *parts, size_t count,
                                  uint64_t deadline)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    conn->writing = true;
    enum conn_result result = conn_write_all(conn, &message, deadline);
    conn->writing = false;
    return result;
}

enum conn_result conn_write(struct conn *conn, const void *from, size_t size, uint64_t deadline)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)from, .iov_len = size};
    return conn_write_parts(conn, &part, 1, deadline);
}

void conn_look(struct conn *conn)
{
    if (conn->gone || conn->aborted || conn->fd < 0)
        return;
    struct pollfd p = {.fd = conn->fd, .events = POLLIN | POLLRDHUP};
    if (poll(&p, 1, 0) <= 0)
        return;
    if (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) {
        conn->gone = true;
        return;
    }
    /* Input after the end of the body is an abort, the next request, or a management record. Before
     * that it is the body, which is the application's to read. */
    if (conn_input_complete(conn) && conn->end < conn->capacity) {
        if (conn_receive(conn) == CONN_GONE)
            conn->gone = true;
        conn_walk(conn);
    }
}

bool conn_sees_abort(const struct conn *conn)
{
    unsigned char header[FRAME_HEADER];
    return conn_input_complete(conn) && conn->end == conn->ready &&
           recv(conn->fd, header, sizeof header, MSG_PEEK | MSG_DONTWAIT) == FRAME_HEADER &&
           frame_is_abort(header, conn->frame.id);
}

bool conn_input_suffices(const struct conn *conn, uint64_t announced)
{
    return conn_input_complete(conn) ||
           (conn->frame.phase == FRAME_STDIN && conn->frame.body_bytes == announced);
}

bool conn_end_request(struct conn *conn, uint64_t announced)
{
    /* After an abort record the web server sends no more of the body. */
    bool all = conn_input_suffices(conn, announced) || conn->aborted;
    bool clean =
        !conn->gone && !conn->broken && !conn->eof && conn->pass_left == 0 && conn->cut_left == 0;
    conn->aborted = false;
    conn->start = conn->ready; /* input that the application left unread */
    conn->feed = (struct stdin_split){0};
    conn->passing = false;
    conn->sent_any = false;
    conn->ended = false;
    frame_reset(&conn->frame);
    return all && clean;
}

bool conn_has_begun(struct conn *conn)
{
    conn_walk(conn);
    for (int i = 0; i < CONN_DRAIN_READS && conn->frame.phase == FRAME_NONE; i++) {
        if (conn->broken || !conn_make_room(conn, 0) || conn_receive(conn) != CONN_OK)
            break;
        conn_walk(conn);
    }
    return !conn->broken && (conn->frame.phase != FRAME_NONE || conn->end > conn->start);
}

bool conn_has_bytes(struct conn *conn)
{
    if (conn->end == conn->start && conn_make_room(conn, 0))
        (void)conn_receive(conn);
    return conn->end > conn->start;
}

void conn_refuse(struct conn *conn, const char *http_status, enum frame_status status)
{
    unsigned char out[256];
    size_t at = 0;
    if (http_status != NULL) {
        char text[128];
        int length =
            snprintf(text, sizeof text, "Status: %s\r\nContent-Type: text/plain\r\n\r\n%s\n",
                     http_status, http_status);
        if (length < 0 || (size_t)length >= sizeof text)
            return;
        at = frame_stdout_header(conn->frame.id, (size_t)length, out);
        memcpy(out + at, text, (size_t)length);
        at += (size_t)length;
        at += frame_stdout_header(conn->frame.id, 0, out + at);
    }
    at += frame_end_request(conn->frame.id, status, out + at);
    conn_send_record(conn, out, at);
}

void conn_push(struct conn *conn)
{
    int one = 1;
    if (conn->is_tcp)
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void conn_half_close(struct conn *conn)
{
    /* Fails only if the peer is gone, and then there is nobody to tell. */
    (void)shutdown(conn->fd, SHUT_WR);
}

enum conn_result conn_drain(struct conn *conn)
{
    unsigned char nowhere[8192];
    for (int i = 0; i < CONN_DRAIN_READS; i++) {
        ssize_t n = recv(conn->fd, nowhere, sizeof nowhere, MSG_DONTWAIT);
        if (n > 0 || (n < 0 && errno == EINTR))
            continue;
        return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? CONN_AGAIN : CONN_GONE;
    }
    return CONN_OK;
}

void conn_preload(struct conn *conn, const unsigned char *bytes, size_t count)
{
    memcpy(conn->buffer, bytes, count < conn->capacity ? count : conn->capacity);
    conn->end = count < conn->capacity ? count : conn->capacity;
}

struct conn *conn_split(struct conn *conn)
{
    struct conn *fresh = conn_new();
    if (fresh == NULL)
        return NULL;
    fresh->fd = conn->fd;
    fresh->home = conn->home;
    fresh->serial = conn->serial;
    fresh->watched = conn->watched;
    fresh->is_tcp = conn->is_tcp;
    fresh->frame.id = conn->frame.id;
    fresh->pass_left = conn->pass_left;
    fresh->cut_left = conn->cut_left;
    fresh->eof = conn->eof;
    fresh->gone = conn->gone;
    fresh->broken = conn->broken;
    conn_preload(fresh, conn->buffer + conn->ready, conn->end - conn->ready);
    conn->end = conn->ready;
    conn->pass_left = 0;
    conn->cut_left = 0;
    conn->fd = -1;
    conn->watched = false;
    atomic_store_explicit(&conn_table[fresh->fd], fresh, memory_order_release);
    return fresh;
}

void conn_forget(struct conn **conn)
{
    atomic_store_explicit(&conn_table[(*conn)->fd], NULL, memory_order_release);
    (void)close((*conn)->fd);
    (*conn)->fd = -1;
    conn_free(conn);
}

void conn_release(struct conn *conn)
{
    if (conn->fd < 0)
        return;
    if (atomic_load_explicit(&conn_children, memory_order_relaxed))
        conn_half_close(conn);
    atomic_store_explicit(&conn_table[conn->fd], NULL, memory_order_release);
    (void)close(conn->fd);
    conn->fd = -1;
}

void conn_free(struct conn **conn)
{
    if (*conn == NULL)
        return;
    conn_release(*conn);
    conn_delete(*conn);
    *conn = NULL;
}

void conn_thread_end(void)
{
    if (conn_spare == NULL)
        return;
    free(conn_spare->buffer);
    free(conn_spare);
    conn_spare = NULL;
}

void conn_after_fork(void)
{
    for (size_t i = 0; i < CONN_FDS; i++) {
        struct conn *conn = atomic_load_explicit(&conn_table[i], memory_order_relaxed);
        if (conn == NULL)
            continue;
        conn->parents = true;
        conn->owner = NULL;
    }
}

bool conn_is_parents(const struct conn *conn)
{
    return conn->parents;
}

void conn_expect_children(void)
{
    atomic_store_explicit(&conn_children, true, memory_order_relaxed);
}
