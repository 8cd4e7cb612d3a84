/* frame.h: FastCGI records: which bytes of a connection belong to which request; pure.
 *
 * libfcgi decodes the records. This only reads their headers, to know what libfcgi does not tell:
 * when a request header is complete, where a request's input ends, and which records libfcgi must
 * not get (management, a second request, an abort). So bytes of a body are never taken for records
 * of another request. Knows no socket. Source: FastCGI specification 1.0, sections 3 to 5.
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

/* Record types used elsewhere; frame.c has the others. */
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

/* The treatment of a record. */
enum frame_kind {
    FRAME_MORE,    /* wait for more bytes */
    FRAME_PASS,    /* pass it to libfcgi */
    FRAME_DROP,    /* drop it: it belongs to a request that is over or was refused */
    FRAME_VALUES,  /* answer FCGI_GET_VALUES */
    FRAME_UNKNOWN, /* answer an unknown management record */
    FRAME_SECOND,  /* refuse a second BEGIN_REQUEST: we do not multiplex */
    FRAME_ABORT,   /* abort the current request */
    FRAME_CANCEL,  /* the same before its parameters are complete: it is over, drop it */
    FRAME_HOLD,    /* the next request: stop here until the current one is over */
    FRAME_BAD,     /* close: it violates the protocol */
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

/* Reads the header of the record at `bytes`, of which `count` have come, and changes the phase,
 * except with FRAME_MORE, FRAME_HOLD and FRAME_BAD. The caller then skips record.size bytes. */
struct frame_record frame_next(struct frame *frame, const unsigned char *bytes, size_t count);

/* From a record's header: the size of its content; *size is that of the whole record. */
size_t frame_content_size(const unsigned char *header, size_t *size);

/* A name-value pair; points into the content. */
struct frame_pair {
    const unsigned char *name;
    const unsigned char *value;
    size_t name_size;
    size_t value_size;
};

/* Reads the pair at *p and moves *p to the next one; false if it is incomplete. */
bool frame_next_pair(const unsigned char **p, const unsigned char *end, struct frame_pair *pair);

/* Is this the header of an FCGI_ABORT_REQUEST for the request? */
bool frame_is_abort(const unsigned char *header, uint16_t id);

/* The current request is over: the next record may begin another one. */
void frame_reset(struct frame *frame);

/* Writes the answer to an FCGI_GET_VALUES record with this content into `out`, FRAME_ANSWER_MAX
 * bytes. `requests` is how many the application takes at once, 0 = unknown. Returns its size, 0 if
 * the content is malformed. */
enum {
    FRAME_ANSWER_MAX = 96
};
size_t frame_values_answer(const unsigned char *content, size_t count, unsigned requests,
                           unsigned char *out);

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

/* The header of a STDOUT and of a STDIN record; 8 bytes. */
size_t frame_stdout_header(uint16_t id, size_t content, unsigned char *out);
size_t frame_stdin_header(uint16_t id, size_t content, size_t padding, unsigned char *out);

#endif
