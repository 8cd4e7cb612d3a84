/* conn.h: one connection from the web server: bytes in, bytes out, and its end.
 *
 * Reads ahead into a buffer and walks the records in it (frame.h), so that libfcgi is given the
 * current request's bytes and no others. Answers management records on the spot. Decides nothing
 * about requests: wait_set.c keeps connections that wait, request.c those that are served. A
 * connection belongs to one thread at a time, except while it waits.
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

/* Where wait_set.c has put it; CONN_BUSY while a thread serves it. */
enum conn_place {
    CONN_BUSY,
    CONN_READY,   /* its request header is complete */
    CONN_PENDING, /* accepted, or kept and begun: the request header is incomplete */
    CONN_KEPT,    /* between two requests */
    CONN_PARKED,  /* response sent, peer still sends: drained until it stops */
    CONN_PLACES
};

struct conn {
    int fd;
    void *home;      /* wait_set.c's: the wait set it came from */
    void *owner;     /* libfcgi.c's: the request that is served on it, or NULL */
    uint32_t serial; /* tells this connection from earlier ones with the same descriptor */
    enum conn_place place;
    bool watched; /* in the wait set's epoll */
    bool is_tcp;
    bool eof;              /* the peer will send no more */
    bool gone;             /* the peer has left, or nothing can be written to it */
    bool broken;           /* it violated the protocol, or a record was cut off on our side */
    bool aborted;          /* FCGI_ABORT_REQUEST for the current request */
    bool drained;          /* the last read left nothing behind */
    bool timed;            /* a read that waits does so for a moment only */
    bool too_large;        /* its parameters exceed the limit */
    bool sent_any;         /* a STDOUT record of the current request is on its way */
    volatile bool writing; /* a record may be half out; read by a signal handler */
    bool last;             /* what is written now is the last: TCP sends its end along with it */
    volatile bool ended;   /* the current request's END_REQUEST is, or is about to be, on its way */
    bool parents;          /* in a forked child: the parent serves it */
    uint64_t since;        /* entry into `place`; begin of the current request's arrival */
    uint64_t deadline;     /* of the stay in `place`; 0 = none */
    struct conn *prev;     /* neighbours in `place` */
    struct conn *next;

    struct frame frame;
    struct stdin_split feed; /* what was given away of the record at `start` */
    size_t pass_left;        /* rest of the record being walked */
    size_t cut_left;         /* its padding, to be dropped after that */
    bool passing;            /* that record is for libfcgi */
    unsigned char *buffer;
    size_t capacity;
    size_t start; /* [start, ready) is for libfcgi */
    size_t ready; /* [ready, end) is not yet told apart */
    size_t end;
};

enum conn_result {
    CONN_OK = 0,
    CONN_AGAIN, /* nothing now */
    CONN_LATE,  /* the deadline passed */
    CONN_GONE,  /* end of stream, reset, or protocol violation */
};

/* Takes over an accepted descriptor. NULL without memory, or for a descriptor out of range; the
 * descriptor is then closed. */
struct conn *conn_open(int fd, bool is_tcp);

/* The open connection with this descriptor, or NULL. */
struct conn *conn_find(int fd);

/* Reads what is there without waiting. `limit` bounds the bytes of parameters. CONN_OK if something
 * was read, CONN_AGAIN if not, CONN_GONE at the end of the stream. */
enum conn_result conn_fill(struct conn *conn, size_t limit);

/* The request header is complete: libfcgi can read it without waiting. */
bool conn_has_header(const struct conn *conn);

/* Takes the parameters out of a complete request header: their content, *count bytes in one piece,
 * to be used before the connection is touched again. libfcgi then reads a request without any. */
const unsigned char *conn_take_params(struct conn *conn, size_t *count);

/* The current request's input has arrived to its end. */
bool conn_input_complete(const struct conn *conn);

/* Gives libfcgi up to `size` bytes of the current request, waiting until `deadline` (0 = for ever);
 * *count is 0 at its end. */
enum conn_result conn_read(struct conn *conn, void *into, size_t size, uint64_t deadline,
                           size_t *count);

/* The same, of the body and without its records' headers, past libfcgi: only where that has nothing
 * left to give and conn_may_read_body. *count is 0 at the body's end, which is libfcgi's to read.
 */
bool conn_may_read_body(const struct conn *conn);
enum conn_result conn_read_body(struct conn *conn, void *into, size_t size, uint64_t deadline,
                                size_t *count);

/* Writes all, waiting for room until `deadline` (0 = for ever). */
enum conn_result conn_write(struct conn *conn, const void *from, size_t size, uint64_t deadline);

/* The same of up to CONN_PARTS pieces; their lengths and places are changed. */
enum {
    CONN_PARTS = 3
};
enum conn_result conn_write_parts(struct conn *conn, struct iovec *parts, size_t count,
                                  uint64_t deadline);

/* Looks whether the peer has left, without waiting; reads an abort record if one has come. */
void conn_look(struct conn *conn);

/* An abort record of the current request waits to be read. Reads nothing; async-signal-safe. */
bool conn_sees_abort(const struct conn *conn);

/* Its input has arrived to its end, or as good as: when `announced` bytes (CONTENT_LENGTH) of the
 * body have come, the record that ends it may be late, as Apache sends it behind a quick answer. */
bool conn_input_suffices(const struct conn *conn, uint64_t announced);

/* The current request is over: what is left of its input is nobody's from here on. True if the next
 * one may come on the same connection: the input suffices and nothing went wrong. */
bool conn_end_request(struct conn *conn, uint64_t announced);

/* Between two requests: takes in what has come without waiting, drops what is left of the last one,
 * and tells whether the next one has begun, sent before the peer could know that this connection
 * ends. */
bool conn_has_begun(struct conn *conn);

/* Between two requests: something has come, perhaps just now. Never waits. */
bool conn_has_bytes(struct conn *conn);

/* Answers a request that the application will not see: a plain-text response with this HTTP status
 * ("431 Request Header Fields Too Large"), or with NULL an END_REQUEST with `status` alone. Never
 * waits. */
void conn_refuse(struct conn *conn, const char *http_status, enum frame_status status);

/* Sends what TCP holds back after `last`. */
void conn_push(struct conn *conn);

/* Says that no more will be written. The peer sees the end even if a forked child still holds the
 * descriptor. */
void conn_half_close(struct conn *conn);

/* Reads and drops what the peer still sends. CONN_GONE when it is done and the connection can be
 * closed without harm to the response. */
enum conn_result conn_drain(struct conn *conn);

/* Moves the descriptor to a connection of its own, to be parked, and leaves what was read in the
 * old one for the application. NULL without memory: nothing has changed then. */
struct conn *conn_split(struct conn *conn);

/* Closes the descriptor but keeps what was read for the application. */
void conn_release(struct conn *conn);

/* Gives what conn_release kept, never waits; *count is 0 when there is no more. */
void conn_read_rest(struct conn *conn, void *into, size_t size, size_t *count);

/* Closes what is open and frees. Forgets the pointer. */
void conn_free(struct conn **conn);

/* Closes our copy of the descriptor, which lives on elsewhere, and frees. Forgets the pointer. */
void conn_forget(struct conn **conn);

/* A fresh connection of which these bytes were read before; they fit the first buffer. */
void conn_preload(struct conn *conn, const unsigned char *bytes, size_t count);

/* Gives back what the calling thread has put by. Before the thread ends. */
void conn_thread_end(void);

/* In a forked child: no connection is ours any more, whatever libfcgi still does with it. */
void conn_after_fork(void);
bool conn_is_parents(const struct conn *conn);

/* From now on a child may hold copies of our descriptors, so closing alone does not end a stream.
 */
void conn_expect_children(void);

#endif
