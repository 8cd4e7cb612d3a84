/* conn.h: one connection from the web server: its input, its output and its end.
 *
 * Reads ahead into a buffer and parses the record headers in it (frame.h), so that libfcgi gets the
 * current request's records and no others. Answers management records itself. Decides nothing about
 * requests: wait_set.c holds connections that wait, request.c those that are served. A connection
 * belongs to one thread at a time; while it waits, the wait set's lock protects it.
 */
#ifndef OT_CONN_H
#define OT_CONN_H

#include "sapi-shim/protocol/frame.h"
#include "sapi-shim/protocol/stdin_split.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct request;
struct wait_set;

/* Where the connection waits; CONN_BUSY while a thread serves it. */
enum conn_state {
    CONN_BUSY,
    CONN_READY,     /* its request header is complete */
    CONN_PENDING,   /* its request header is incomplete */
    CONN_KEPT,      /* idle between two requests */
    CONN_LINGERING, /* lingering close: the response is sent, input is discarded */
    CONN_STATES
};

struct conn {
    int fd;
    uint32_t serial; /* tells this connection from earlier ones with the same descriptor */
    struct wait_set *wait_set;
    struct request *request; /* the request that is served on it, or NULL */
    enum conn_state state;
    uint64_t since;    /* when `state`, or the arrival of the current request, began */
    uint64_t deadline; /* the end of the time in `state`; 0 = none */
    struct conn *prev; /* neighbours in the list of `state` */
    struct conn *next;
    bool watched; /* in the wait set's epoll */
    bool is_tcp;
    bool eof;               /* the peer sends no more */
    bool disconnected;      /* the peer has closed, or writing has failed */
    bool broken;            /* a protocol violation, or we have cut off a record */
    bool aborted;           /* FCGI_ABORT_REQUEST has come for the current request */
    bool canceled;          /* a request was aborted before its parameters were complete */
    bool canceled_keep;     /* ... and the web server asked to keep the connection */
    bool reused;            /* a request was served on it */
    bool peer_ends;         /* an event has said so: reads go on up to the end of the stream */
    bool params_too_large;  /* its parameters exceed the limit */
    bool socket_empty;      /* the last read took everything that had come */
    bool surplus;           /* it is or will be idle beyond keepalive_max: see wait_set.h */
    bool has_timeout;       /* SO_RCVTIMEO is set: a blocking read ends soon */
    bool stdout_sent;       /* a STDOUT record of the current request was, or is being, sent */
    bool last_write;        /* nothing follows what is written now: TCP sends FIN along with it */
    bool in_parent;         /* in a forked child: the parent serves this connection */
    volatile bool writing;  /* a record may be half sent; a signal handler reads this */
    volatile bool end_sent; /* the current request's END_REQUEST was, or is being, sent */

    struct frame frame;
    struct stdin_split split; /* of the record at `start`: which part was already read */
    size_t record_left;       /* unparsed rest of the record at `parsed` */
    size_t padding_left;      /* padding after that rest, to be dropped */
    bool for_libfcgi;         /* that record is for libfcgi */
    size_t dropped; /* bytes of records that libfcgi did not get, since the last request */
    unsigned char *buffer;
    size_t capacity;
    size_t start;  /* [start, parsed) is for libfcgi */
    size_t parsed; /* [parsed, end) is not parsed yet */
    size_t end;
};

enum conn_result {
    CONN_OK = 0,
    CONN_AGAIN,   /* nothing now */
    CONN_TIMEOUT, /* the deadline has passed */
    CONN_CLOSED,  /* end of stream, reset, or protocol violation */
};

/* Takes over an accepted descriptor. NULL without memory, or for a descriptor out of range; the
 * descriptor is then closed. */
struct conn *conn_open(int fd, bool is_tcp);

/* Sets the function that says how many connections the pool takes at once, for the answer to
 * FCGI_GET_VALUES; 1 until then. Before any connection is read. */
void conn_set_capacity(unsigned (*capacity)(void));

/* The open connection with this descriptor, or NULL. */
struct conn *conn_find(int fd);

/* ---- input ---- */

/* Reads what has come, without waiting, by a bounded number of reads: with `socket_empty` false
 * more may have come. `limit` bounds the bytes of parameters. CONN_OK if something was read or the
 * header is complete, CONN_CLOSED at the end of the stream, or if the connection must be closed
 * because there is too much between two requests. */
enum conn_result conn_fill(struct conn *conn, size_t limit);

/* The request header is complete: libfcgi can read it without waiting. */
bool conn_has_header(const struct conn *conn);

/* Takes the parameters out of a complete request header and returns their content, *count bytes in
 * one piece, valid until the connection is used again. libfcgi then reads a request without any. */
const unsigned char *conn_take_params(struct conn *conn, size_t *count);

/* All input of the current request has arrived. */
bool conn_input_complete(const struct conn *conn);

/* Reads up to `size` bytes of the current request's records for libfcgi; waits until `deadline`
 * (0 = no limit). *count is 0 at the end of its input. */
enum conn_result conn_read(struct conn *conn, void *into, size_t size, uint64_t deadline,
                           size_t *count);

/* Reads the content of the body past libfcgi, without record headers; only where libfcgi has
 * nothing left to read and conn_may_read_body is true. *count is 0 at the body's end; libfcgi then
 * reads the record that ends it. */
bool conn_may_read_body(const struct conn *conn);
enum conn_result conn_read_body(struct conn *conn, void *into, size_t size, uint64_t deadline,
                                size_t *count);

/* Reads for libfcgi what the buffer holds, also after conn_close. Never waits; *count is 0 when
 * there is no more. */
void conn_read_buffered(struct conn *conn, void *into, size_t size, size_t *count);

/* Checks, without waiting, whether the peer has closed or sent an abort record. */
void conn_check_peer(struct conn *conn);

/* An abort record of the current request waits to be read. Reads nothing; async-signal-safe. */
bool conn_abort_pending(const struct conn *conn);

/* The connection can be reused after the current request: nothing went wrong, and the rest of the
 * `announced` input is short enough to be awaited and dropped. If it is longer, the peer cannot
 * have sent all of it, nor its next request: closing then loses none. */
bool conn_is_reusable(const struct conn *conn, uint64_t announced);

/* Ends the current request; what is left of its input is dropped when it comes. Returns
 * conn_is_reusable. */
bool conn_end_request(struct conn *conn, uint64_t announced);

/* Between two requests: reads what has come without waiting, drops the rest of the last request,
 * and returns true if the next one has begun; the peer sent it before it could know that this
 * connection ends. */
bool conn_next_request_begun(struct conn *conn);

/* Between two requests: input has come. Never waits. */
bool conn_has_input(struct conn *conn);

/* Reads and discards what the peer still sends. CONN_CLOSED at the end of the stream: the
 * connection can be closed without loss of the response. CONN_OK: there is more. */
enum conn_result conn_discard_input(struct conn *conn);

/* ---- output ---- */

/* Writes everything; waits until `deadline` (0 = no limit). */
enum conn_result conn_write(struct conn *conn, const void *from, size_t size, uint64_t deadline);

/* The same for up to CONN_PARTS pieces. Changes `parts`. */
enum {
    CONN_PARTS = 3
};
enum conn_result conn_write_parts(struct conn *conn, struct iovec *parts, size_t count,
                                  uint64_t deadline);

/* Answers a request that the application does not get: a plain-text response with this HTTP status
 * ("431 Request Header Fields Too Large"), or with NULL an END_REQUEST with `status` alone. Never
 * waits. */
void conn_refuse(struct conn *conn, const char *http_status, enum frame_status status);

/* Sends the head and body of a CGI response, and the end of the request. A peer that does not take
 * it within five seconds loses the rest. */
void conn_reply(struct conn *conn, const char *response, size_t size);

/* Sends what TCP holds back because of `last_write`. */
void conn_flush(struct conn *conn);

/* Ends our side of the stream. The peer sees the end even if a forked child still holds the
 * descriptor. */
void conn_half_close(struct conn *conn);

/* ---- end ---- */

/* Moves the descriptor and unparsed input to a new connection; the old one keeps what was read for
 * the application. NULL without memory: nothing has changed then. */
struct conn *conn_split(struct conn *conn);

/* Closes the descriptor but keeps what was read for the application. */
void conn_close(struct conn *conn);

/* Closes the descriptor if it is open, and frees. Clears the pointer. */
void conn_free(struct conn **conn);

/* Closes our copy of the descriptor, which another process still uses, and frees. Clears the
 * pointer. */
void conn_close_copy(struct conn **conn);

/* Puts bytes that were read before into a new connection. False without memory. */
bool conn_preload(struct conn *conn, const unsigned char *bytes, size_t count);

/* Frees the calling thread's cache. Before the thread ends. */
void conn_thread_end(void);

/* Before a fork: from now on a child may hold copies of our descriptors, so that closing alone does
 * not end a stream. */
void conn_expect_children(void);

/* In a forked child: marks all connections as the parent's. */
void conn_after_fork(void);

#endif
