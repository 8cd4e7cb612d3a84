/* frame.h: which bytes of a connection belong to which request; pure.
 *
 * libfcgi decodes the records; this only walks their headers, to know what libfcgi cannot tell:
 * when a whole request header is there, where a request's input ends, and which records are not
 * libfcgi's business (management, a second request, an abort). Bytes of a body are therefore never
 * taken for records of another request. Knows no socket. Called by conn.c. Source: FastCGI
 * specification 1.0, sections 3 to 5.
 */
#ifndef OT_FRAME_H
#define OT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_HEADER = 8,
    FRAME_CONTENT_MAX = 65528, /* of a record, in whole units of 8 bytes */
    FRAME_BEGIN_BODY = 8
};

/* Record types that others need to know; frame.c knows the rest. */
enum {
    FRAME_TYPE_STDIN = 5,
    FRAME_TYPE_STDOUT = 6
};

enum frame_role {
    FRAME_ROLE_RESPONDER = 1,
    FRAME_ROLE_AUTHORIZER = 2,
    FRAME_ROLE_FILTER = 3
};

enum frame_phase {
    FRAME_NONE,     /* between requests */
    FRAME_PARAMS,   /* BEGIN_REQUEST seen, parameters incomplete */
    FRAME_STDIN,    /* parameters complete, body incomplete */
    FRAME_DATA,     /* filter role: FCGI_DATA incomplete */
    FRAME_COMPLETE, /* the request's input is complete */
};

enum frame_kind {
    FRAME_MORE,    /* not enough bytes to tell */
    FRAME_PASS,    /* for libfcgi */
    FRAME_DROP,    /* nobody's: a request that is over or was refused */
    FRAME_VALUES,  /* FCGI_GET_VALUES: to be answered */
    FRAME_UNKNOWN, /* unknown management record: to be answered */
    FRAME_SECOND,  /* a second BEGIN_REQUEST: to be refused, this one cannot multiplex */
    FRAME_ABORT,   /* FCGI_ABORT_REQUEST of the current request */
    FRAME_HOLD,    /* the next request: stop here until the current one is over */
    FRAME_BAD,     /* violates the protocol: close */
};

struct frame {
    enum frame_phase phase;
    uint16_t id; /* of the current or last request */
    uint16_t role;
    bool keep;           /* the web server asked to keep the connection */
    size_t params_bytes; /* content of FCGI_PARAMS records so far */
    uint64_t body_bytes; /* content of FCGI_STDIN records so far */
};

struct frame_record {
    enum frame_kind kind;
    unsigned char type;
    uint16_t id;
    size_t content; /* bytes after the header */
    size_t size;    /* header, content and padding */
};

/* Looks at the record that begins at `bytes`, of which `count` are there, and moves on to the phase
 * after it, unless the answer is FRAME_MORE, FRAME_HOLD or FRAME_BAD. The caller then skips
 * record.size bytes, as they come. */
struct frame_record frame_next(struct frame *frame, const unsigned char *bytes, size_t count);

/* From a record's header: bytes of its content, and in *size those of the whole record. */
size_t frame_content_size(const unsigned char *header, size_t *size);

/* A name-value pair, where it stands. */
struct frame_pair {
    const unsigned char *name;
    const unsigned char *value;
    size_t name_size;
    size_t value_size;
};

/* Reads the pair at *p and moves *p behind it; false if it is not whole before `end`. */
bool frame_next_pair(const unsigned char **p, const unsigned char *end, struct frame_pair *pair);

/* The header of an FCGI_ABORT_REQUEST for this request. */
bool frame_is_abort(const unsigned char *header, uint16_t id);

/* The current request is over: the next record may begin another one. */
void frame_reset(struct frame *frame);

/* Writes the answer to a FCGI_GET_VALUES record with this content into `out` (at least
 * FRAME_ANSWER_MAX bytes); returns its size, 0 if the content is malformed. */
enum {
    FRAME_ANSWER_MAX = 96
};
size_t frame_values_answer(const unsigned char *content, size_t count, unsigned char *out);

/* FCGI_UNKNOWN_TYPE for a management record of this type; 16 bytes. */
size_t frame_unknown_answer(unsigned char type, unsigned char *out);

/* FCGI_END_REQUEST with this protocol status; 16 bytes. */
enum frame_status {
    FRAME_REQUEST_COMPLETE = 0,
    FRAME_CANT_MPX_CONN = 1,
    FRAME_OVERLOADED = 2,
    FRAME_UNKNOWN_ROLE = 3,
};
size_t frame_end_request(uint16_t id, enum frame_status status, unsigned char *out);

/* Header of a STDOUT, and of a STDIN record; 8 bytes. */
size_t frame_stdout_header(uint16_t id, size_t content, unsigned char *out);
size_t frame_stdin_header(uint16_t id, size_t content, size_t padding, unsigned char *out);

#endif
