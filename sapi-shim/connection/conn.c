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
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONN_FDS = 65536,           /* higher descriptors are refused */
    CONN_FIRST_CAPACITY = 8192, /* holds the header of nearly every request */
    CONN_MANAGEMENT_MAX = 4096, /* longest content of a management record */
    CONN_LONG = 16384,          /* a read of so many bytes bypasses the buffer */
    CONN_NEXT = 64,             /* bytes that such a read takes in beyond: a header */
    CONN_READ_TIMEOUT = 1,      /* seconds that a read blocks at most */
    CONN_REPLY_PIECE = 32768,   /* bytes of content in a record of conn_reply */
    CONN_REPLY_MS = 5000,       /* longest time of conn_reply */
    CONN_READS_MAX = 64,        /* reads in a row, so that one peer cannot hold the thread */
    CONN_REST_MAX = 16777216,   /* bytes dropped between requests; more than sockets hold */
};

static _Atomic(struct conn *) conn_table[CONN_FDS];
static _Atomic uint32_t conn_serial;
static atomic_bool conn_children;
static _Thread_local struct conn *conn_spare; /* the last one freed: no malloc per request */

static struct conn *conn_new(void)
{
    struct conn *conn = conn_spare;
    unsigned char *buffer = conn != NULL ? conn->buffer : malloc(CONN_FIRST_CAPACITY);
    if (conn == NULL)
        conn = malloc(sizeof *conn);
    conn_spare = NULL;
    if (conn == NULL || buffer == NULL) {
        free(conn);
        free(buffer);
        return NULL;
    }
    *conn = (struct conn){.fd = -1, .buffer = buffer, .capacity = CONN_FIRST_CAPACITY};
    return conn;
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

/* ---- parsing ---- */

static unsigned (*conn_capacity)(void); /* NULL: one request at a time */

void conn_set_capacity(unsigned (*capacity)(void))
{
    conn_capacity = capacity;
}

/* Sends a small record of our own without waiting. A peer that does not take it in is broken. */
static void conn_send_record(struct conn *conn, const unsigned char *record, size_t size)
{
    if (send(conn->fd, record, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size)
        conn->broken = true;
}

/* Answers the management record at `parsed`; false if it is incomplete or cannot be answered. */
static bool conn_answer_management(struct conn *conn, const struct frame_record *record)
{
    const unsigned char *content = conn->buffer + conn->parsed + FRAME_HEADER;
    unsigned char answer[FRAME_ANSWER_MAX];
    if (record->content > CONN_MANAGEMENT_MAX) {
        conn->broken = true;
        return false;
    }
    if (conn->end - conn->parsed < record->size)
        return false;
    size_t size = record->kind == FRAME_VALUES
                      ? frame_values_answer(content, record->content,
                                            (conn_capacity != NULL ? conn_capacity() : 1), answer)
                      : frame_unknown_answer(record->type, answer);
    if (size == 0)
        conn->broken = true;
    else
        conn_send_record(conn, answer, size);
    return size != 0;
}

/* Handles the header of the record at `parsed`. False if parsing cannot go on now. */
static bool conn_begin_record(struct conn *conn)
{
    unsigned char *bytes = conn->buffer + conn->parsed;
    unsigned char answer[FRAME_ANSWER_MAX];
    struct frame_record record = frame_next(&conn->frame, bytes, conn->end - conn->parsed);
    switch (record.kind) {
    case FRAME_MORE:
    case FRAME_HOLD:
        return false;
    case FRAME_BAD:
        conn->broken = true;
        return false;
    case FRAME_VALUES:
    case FRAME_UNKNOWN:
        if (!conn_answer_management(conn, &record))
            return false;
        break;
    case FRAME_SECOND:
        conn_send_record(conn, answer, frame_end_request(record.id, FRAME_CANT_MPX_CONN, answer));
        break;
    case FRAME_ABORT:
        conn->aborted = true;
        break;
    case FRAME_CANCEL:
        conn->canceled = true;
        conn->canceled_keep = conn->frame.keep;
        conn_send_record(conn, answer,
                         frame_end_request(record.id, FRAME_REQUEST_COMPLETE, answer));
        break;
    case FRAME_PASS:
    case FRAME_DROP:
        break;
    }
    conn->for_libfcgi = record.kind == FRAME_PASS;
    conn->record_left = record.size;
    /* libfcgi takes the padding of a record that ends a stream for the next record's header. */
    if (conn->for_libfcgi && record.content == 0) {
        bytes[6] = 0;
        conn->record_left = FRAME_HEADER;
        conn->padding_left = record.size - FRAME_HEADER;
    }
    return true;
}

/* Parses [parsed, end): closes the gaps that dropped records leave between those for libfcgi, and
 * moves the rest once, however many gaps there are. */
static void conn_parse(struct conn *conn)
{
    size_t kept = conn->parsed; /* the end of the bytes for libfcgi */
    while (!conn->broken) {
        if (conn->record_left == 0 && conn->padding_left > 0) {
            conn->record_left = conn->padding_left;
            conn->padding_left = 0;
            conn->for_libfcgi = false;
        }
        if (conn->record_left == 0) {
            bool canceled = conn->canceled;
            if (!conn_begin_record(conn))
                break;
            if (conn->canceled && !canceled)
                kept = conn->start; /* libfcgi must not see what had come of the request */
            continue;
        }
        size_t present = conn->end - conn->parsed;
        size_t n = MIN(conn->record_left, present);
        if (n == 0)
            break;
        if (conn->for_libfcgi) {
            if (kept < conn->parsed)
                memmove(conn->buffer + kept, conn->buffer + conn->parsed, n);
            kept += n;
        } else {
            conn->dropped += n;
        }
        conn->parsed += n;
        conn->record_left -= n;
    }
    if (kept == conn->parsed)
        return;
    memmove(conn->buffer + kept, conn->buffer + conn->parsed, conn->end - conn->parsed);
    conn->end -= conn->parsed - kept;
    conn->parsed = kept;
}

/* ---- input ---- */

/* Makes room to read into: drops what was read, and grows while the request header is longer than
 * the buffer. Records have headers and padding, so the bound is twice the limit. */
static bool conn_make_room(struct conn *conn, size_t limit)
{
    if (conn->start > 0) {
        memmove(conn->buffer, conn->buffer + conn->start, conn->end - conn->start);
        conn->parsed -= conn->start;
        conn->end -= conn->start;
        conn->start = 0;
    }
    if (conn->end < conn->capacity)
        return true;
    size_t bound = 2 * limit + CONN_FIRST_CAPACITY;
    size_t capacity = MIN(2 * conn->capacity, bound);
    unsigned char *buffer = conn->capacity < bound ? realloc(conn->buffer, capacity) : NULL;
    if (buffer == NULL) {
        conn->params_too_large = true;
        return false;
    }
    conn->buffer = buffer;
    conn->capacity = capacity;
    return true;
}

/* One read, with MSG_DONTWAIT in `flags` or 0: up to `direct` bytes go to `into`, further ones into
 * the free room of the buffer. *count is the number of bytes in `into`. */
static enum conn_result conn_receive(struct conn *conn, void *into, size_t direct, int flags,
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
    /* After a signal a blocking read returns, so that its caller compares the time again. */
    do {
        n = direct > 0 ? recvmsg(conn->fd, &message, flags)
                       : recv(conn->fd, conn->buffer + conn->end, room, flags);
    } while (n < 0 && errno == EINTR && flags != 0);
    if (n > 0) {
        conn->socket_empty = (size_t)n < direct + room;
        *count = MIN((size_t)n, direct);
        conn->end += (size_t)n - *count;
        return CONN_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        conn->socket_empty = true;
        return CONN_AGAIN;
    }
    conn->eof = true;
    conn->disconnected = conn->disconnected || n < 0;
    return CONN_CLOSED;
}

/* The same into the buffer alone, without waiting. */
static enum conn_result conn_receive_ahead(struct conn *conn)
{
    size_t none = 0;
    return conn_receive(conn, NULL, 0, MSG_DONTWAIT, &none);
}

bool conn_has_header(const struct conn *conn)
{
    return conn->frame.phase > FRAME_PARAMS;
}

const unsigned char *conn_take_params(struct conn *conn, size_t *count)
{
    unsigned char begin[FRAME_HEADER + FRAME_BEGIN_BODY];
    unsigned char *content = conn->buffer + conn->start;
    unsigned char *record = content;
    size_t size = 0;
    memcpy(begin, record, sizeof begin);
    begin[6] = 0; /* without its padding */
    (void)frame_content_size(record, &size);
    record += size;

    /* The contents of the FCGI_PARAMS records move together to the front. BEGIN_REQUEST moves to
     * the empty record that ends them; the dropped record headers leave room for it. */
    *count = 0;
    for (size_t piece = 0; (piece = frame_content_size(record, &size)) > 0; record += size) {
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

/* The rest of a long record that is to be dropped needs no detour through the buffer. Not inlined,
 * as other reads need no such stack. */
__attribute__((noinline)) static enum conn_result conn_receive_unused(struct conn *conn)
{
    unsigned char unused[CONN_LONG];
    size_t count = 0;
    enum conn_result result =
        conn_receive(conn, unused, MIN(conn->record_left, sizeof unused), MSG_DONTWAIT, &count);
    conn->record_left -= count;
    conn->dropped += count;
    return result;
}

enum conn_result conn_fill(struct conn *conn, size_t limit)
{
    enum conn_result result = CONN_AGAIN;
    conn_parse(conn); /* the last read may have taken in bytes of this request */
    for (int i = 0; !conn_has_header(conn) && !conn->broken && !conn->params_too_large; i++) {
        if (conn->dropped > CONN_REST_MAX)
            return CONN_CLOSED;
        if (i >= CONN_READS_MAX || !conn_make_room(conn, limit))
            break;
        bool drop =
            !conn->for_libfcgi && conn->record_left >= CONN_LONG && conn->end == conn->start;
        enum conn_result got = drop ? conn_receive_unused(conn) : conn_receive_ahead(conn);
        if (got != CONN_OK)
            return got == CONN_CLOSED ? CONN_CLOSED : result;
        result = CONN_OK;
        conn_parse(conn);
        if (conn->frame.params_bytes > limit)
            conn->params_too_large = true;
        if (conn->canceled || (conn->socket_empty && !conn->peer_ends))
            break;
    }
    return conn->broken ? CONN_CLOSED : CONN_OK;
}

/* Waits until the socket can be read or written. CONN_AGAIN: try it now. */
static enum conn_result conn_wait(const struct conn *conn, short events, uint64_t deadline)
{
    struct pollfd p = {.fd = conn->fd, .events = events};
    int n = poll(&p, 1, clock_timeout_ms(deadline, deadline == 0 ? 0 : clock_ns()));
    if (n < 0 && errno != EINTR)
        return CONN_CLOSED;
    return n == 0 ? CONN_TIMEOUT : CONN_AGAIN;
}

void conn_read_buffered(struct conn *conn, void *into, size_t size, size_t *count)
{
    size_t present = conn->parsed - conn->start;
    size_t used = 0;
    /* As in most requests no body has come and all records are complete: no need to split them. */
    if (present <= size && conn->frame.body_bytes == 0 && conn->record_left == 0 &&
        stdin_split_is_idle(&conn->split)) {
        memcpy(into, conn->buffer + conn->start, present);
        *count = used = present;
    } else {
        *count = stdin_split_records(&conn->split, conn->frame.id, conn->buffer + conn->start,
                                     present, into, size, &used);
    }
    conn->start += used;
}

/* May the read itself block until `deadline`? This saves a poll() where the peer is slower than we
 * are. Such a read ends after CONN_READ_TIMEOUT, so the deadline must be later. */
static bool conn_may_block(struct conn *conn, uint64_t deadline)
{
    const struct timeval timeout = {.tv_sec = CONN_READ_TIMEOUT};
    if (deadline == 0)
        return true;
    if (!conn->has_timeout)
        conn->has_timeout =
            setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0;
    return conn->has_timeout && deadline > clock_ns() + CONN_READ_TIMEOUT * 1000 * CLOCK_NS_PER_MS;
}

static enum conn_result conn_read_records(struct conn *conn, bool content, void *into, size_t size,
                                          uint64_t deadline, size_t *count)
{
    for (unsigned reads = 1;; reads++) {
        /* Records that are not this request's may flow without end. */
        if (reads % CONN_READS_MAX == 0 && deadline != 0 && clock_ns() >= deadline)
            return CONN_TIMEOUT;
        /* First the bytes in the buffer. */
        if (content) {
            size_t used = 0;
            *count = stdin_split_content(&conn->split, conn->buffer + conn->start,
                                         conn->parsed - conn->start, into, size, &used);
            conn->start += used;
        } else {
            conn_read_buffered(conn, into, size, count);
        }
        if (*count > 0 || conn_input_complete(conn))
            return CONN_OK;
        if (conn->broken || conn->eof || conn->aborted)
            return CONN_CLOSED;
        if (!conn_make_room(conn, 0)) {
            conn->broken = true;
            return CONN_CLOSED;
        }

        /* The rest of a record that was begun needs no detour through the buffer. */
        size_t direct = 0;
        if (conn->start == conn->end)
            direct = content ? stdin_split_direct_content(&conn->split)
                             : stdin_split_direct_records(&conn->split);
        int flags = conn_may_block(conn, deadline) ? 0 : MSG_DONTWAIT;
        enum conn_result result = conn_receive(conn, into, MIN(direct, size), flags, count);
        conn->record_left -= *count;
        stdin_split_advance(&conn->split, *count);
        if (result == CONN_AGAIN)
            result = conn_wait(conn, POLLIN, deadline);
        if (result == CONN_TIMEOUT || result == CONN_CLOSED)
            return result;
        conn_parse(conn);
        if (*count > 0)
            return CONN_OK;
    }
}

enum conn_result conn_read(struct conn *conn, void *into, size_t size, uint64_t deadline,
                           size_t *count)
{
    return conn_read_records(conn, false, into, size, deadline, count);
}

bool conn_may_read_body(const struct conn *conn)
{
    return conn->fd >= 0 && conn->frame.role != FRAME_ROLE_FILTER &&
           stdin_split_may_read_content(&conn->split);
}

enum conn_result conn_read_body(struct conn *conn, void *into, size_t size, uint64_t deadline,
                                size_t *count)
{
    return conn_read_records(conn, true, into, size, deadline, count);
}

void conn_check_peer(struct conn *conn)
{
    if (conn->disconnected || conn->aborted || conn->fd < 0)
        return;
    struct pollfd p = {.fd = conn->fd, .events = POLLIN | POLLRDHUP};
    if (poll(&p, 1, 0) <= 0)
        return;
    if (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) {
        conn->disconnected = true;
        return;
    }
    /* An abort may follow the part of the body that has come: read ahead as far as there is room.
     * After the body it is an abort, the next request, or a management record. */
    if (conn->start == conn->end)
        conn->start = conn->parsed = conn->end = 0;
    if (conn_has_header(conn) && conn->end < conn->capacity) {
        if (conn_receive_ahead(conn) == CONN_CLOSED)
            conn->disconnected = true;
        conn_parse(conn);
    }
}

bool conn_abort_pending(const struct conn *conn)
{
    unsigned char header[FRAME_HEADER];
    return conn_has_header(conn) && conn->end == conn->parsed && conn->record_left == 0 &&
           conn->padding_left == 0 &&
           recv(conn->fd, header, sizeof header, MSG_PEEK | MSG_DONTWAIT) == FRAME_HEADER &&
           frame_is_abort(header, conn->frame.id);
}

bool conn_is_reusable(const struct conn *conn, uint64_t announced)
{
    /* After an abort record the web server sends no more of the body; after a quick response Apache
     * sends the record that ends it late. An unknown length, which is the highest number, is
     * bounded as the rest comes. */
    uint64_t come = conn->frame.body_bytes;
    bool is_short = conn_input_complete(conn) || conn->aborted || announced == UINT64_MAX ||
                    announced <= come || announced - come <= CONN_REST_MAX;
    return is_short && !conn->disconnected && !conn->broken && !conn->eof;
}

bool conn_end_request(struct conn *conn, uint64_t announced)
{
    bool reusable = conn_is_reusable(conn, announced);
    conn->aborted = false;
    conn->start = conn->parsed; /* input that the application left unread */
    conn->split = (struct stdin_split){0};
    conn->for_libfcgi = false;
    conn->reused = true;
    conn->dropped = 0;
    conn->stdout_sent = false;
    conn->end_sent = false;
    frame_reset(&conn->frame);
    return reusable;
}

bool conn_next_request_begun(struct conn *conn)
{
    conn_parse(conn);
    for (int i = 0; i < CONN_READS_MAX && conn->frame.phase == FRAME_NONE; i++) {
        if (conn->broken || !conn_make_room(conn, 0) || conn_receive_ahead(conn) != CONN_OK)
            break;
        conn_parse(conn);
    }
    return !conn->broken && (conn->frame.phase != FRAME_NONE || conn->end > conn->start);
}

bool conn_has_input(struct conn *conn)
{
    if (conn->end == conn->start && conn_make_room(conn, 0))
        (void)conn_receive_ahead(conn);
    return conn->end > conn->start;
}

enum conn_result conn_discard_input(struct conn *conn)
{
    unsigned char unused[8192];
    for (int i = 0; i < CONN_READS_MAX; i++) {
        ssize_t n = recv(conn->fd, unused, sizeof unused, MSG_DONTWAIT);
        if (n > 0 || (n < 0 && errno == EINTR))
            continue;
        return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? CONN_AGAIN : CONN_CLOSED;
    }
    return CONN_OK;
}

/* ---- output ---- */

/* Sends what the socket takes now; returns 0, or -1 with errno. Drops what is sent from *message.
 */
static int conn_send(const struct conn *conn, struct msghdr *message)
{
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (conn->last_write ? MSG_MORE : 0);
    struct iovec *part = message->msg_iov;
    ssize_t n = message->msg_iovlen == 1 ? send(conn->fd, part->iov_base, part->iov_len, flags)
                                         : sendmsg(conn->fd, message, flags);
    if (n < 0)
        return -1;
    size_t sent = (size_t)n;
    while (message->msg_iovlen > 0 && sent >= message->msg_iov->iov_len) {
        sent -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (message->msg_iovlen > 0) {
        message->msg_iov->iov_base = (unsigned char *)message->msg_iov->iov_base + sent;
        message->msg_iov->iov_len -= sent;
    }
    return 0;
}

enum conn_result conn_write_parts(struct conn *conn, struct iovec *parts, size_t count,
                                  uint64_t deadline)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    enum conn_result result = CONN_OK;
    conn->writing = true;
    while (message.msg_iovlen > 0 && result == CONN_OK) {
        if (conn->disconnected || conn->broken) {
            result = CONN_CLOSED;
        } else if (conn_send(conn, &message) == 0 || errno == EINTR) {
            continue;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
            conn->disconnected = true;
            result = CONN_CLOSED;
        } else if (conn_wait(conn, POLLOUT, deadline) == CONN_TIMEOUT) {
            /* Part of a record may be sent: nothing valid can follow it. */
            conn->broken = true;
            result = CONN_TIMEOUT;
        }
    }
    conn->writing = false;
    return result;
}

enum conn_result conn_write(struct conn *conn, const void *from, size_t size, uint64_t deadline)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)from, .iov_len = size};
    return conn_write_parts(conn, &part, 1, deadline);
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

void conn_reply(struct conn *conn, const char *response, size_t size)
{
    unsigned char out[CONN_REPLY_PIECE + 64];
    uint64_t deadline = clock_ns() + CONN_REPLY_MS * CLOCK_NS_PER_MS;
    size_t sent = 0;
    conn->last_write = conn->is_tcp && !conn->frame.keep;
    do {
        size_t piece = size - sent < CONN_REPLY_PIECE ? size - sent : CONN_REPLY_PIECE;
        size_t length = 0;
        if (piece > 0) {
            length = frame_stdout_header(conn->frame.id, piece, out);
            memcpy(out + length, response + sent, piece);
            length += piece;
        }
        /* The end of output and of the request go out with the last piece. */
        if (sent + piece == size) {
            length += frame_stdout_header(conn->frame.id, 0, out + length);
            length += frame_end_request(conn->frame.id, FRAME_REQUEST_COMPLETE, out + length);
        }
        if (conn_write(conn, out, length, deadline) != CONN_OK)
            return;
        sent += piece;
    } while (sent < size);
}

void conn_flush(struct conn *conn)
{
    int one = 1;
    if (conn->is_tcp)
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void conn_half_close(struct conn *conn)
{
    /* Fails only if the peer has closed; then nothing is lost. */
    (void)shutdown(conn->fd, SHUT_WR);
}

/* ---- end ---- */

bool conn_preload(struct conn *conn, const unsigned char *bytes, size_t count)
{
    if (count > conn->capacity) {
        unsigned char *buffer = realloc(conn->buffer, count);
        if (buffer == NULL)
            return false;
        conn->buffer = buffer;
        conn->capacity = count;
    }
    memcpy(conn->buffer, bytes, count);
    conn->end = count;
    return true;
}

struct conn *conn_split(struct conn *conn)
{
    struct conn *fresh = conn_new();
    if (fresh != NULL &&
        !conn_preload(fresh, conn->buffer + conn->parsed, conn->end - conn->parsed))
        conn_free(&fresh);
    if (fresh == NULL)
        return NULL;
    fresh->fd = conn->fd;
    fresh->wait_set = conn->wait_set;
    fresh->serial = conn->serial;
    fresh->watched = conn->watched;
    fresh->is_tcp = conn->is_tcp;
    fresh->reused = true;
    fresh->frame.id = conn->frame.id;
    fresh->record_left = conn->record_left;
    fresh->padding_left = conn->padding_left;
    fresh->eof = conn->eof;
    fresh->disconnected = conn->disconnected;
    fresh->broken = conn->broken;
    conn->end = conn->parsed;
    conn->record_left = 0;
    conn->padding_left = 0;
    conn->fd = -1;
    conn->watched = false;
    atomic_store_explicit(&conn_table[fresh->fd], fresh, memory_order_release);
    return fresh;
}

void conn_close_copy(struct conn **conn)
{
    atomic_store_explicit(&conn_table[(*conn)->fd], NULL, memory_order_release);
    (void)close((*conn)->fd);
    (*conn)->fd = -1;
    conn_free(conn);
}

void conn_close(struct conn *conn)
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
    struct conn *c = *conn;
    *conn = NULL;
    if (c == NULL)
        return;
    conn_close(c);
    if (conn_spare == NULL && c->capacity == CONN_FIRST_CAPACITY) {
        conn_spare = c;
        return;
    }
    free(c->buffer);
    free(c);
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
        conn->in_parent = true;
        conn->request = NULL;
    }
}

void conn_expect_children(void)
{
    atomic_store_explicit(&conn_children, true, memory_order_relaxed);
}
