/* fcgi_client.h: FastCGI as a web server speaks it, for one request: the bytes to send, and the
 * bytes that came.
 *
 * Pure: touches no descriptor. Checks everything that the other side sends.
 * (sapi-shim/protocol/frame.h is the other side: it reads requests and writes no parameters.)
 */
#ifndef FPM_FCGI_CLIENT_H
#define FPM_FCGI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow; begins as {0}, and `bytes` is the caller's to free. */
struct fcgi_client_bytes {
    char *bytes;
    size_t size, capacity;
    bool failed; /* out of memory, or a parameter that is too long for FastCGI */
};

void fcgi_client_add(struct fcgi_client_bytes *out, const void *bytes, size_t size);

/* Adds a parameter to a list of them. */
void fcgi_client_param(struct fcgi_client_bytes *params, const char *name, size_t name_length,
                       const char *value);

/* All that a web server sends for one request. */
struct fcgi_client_bytes fcgi_client_request(const struct fcgi_client_bytes *params,
                                             const char *body, size_t size);

/* Called with pieces of both streams as they come. */
struct fcgi_client_events {
    void (*output)(void *context, const char *bytes, size_t size);
    void (*error)(void *context, const char *bytes, size_t size);
};

struct fcgi_client_answer {
    const struct fcgi_client_events *events;
    void *context;
    unsigned char header[8], end[8];
    size_t header_have, end_have;
    size_t content, padding; /* of the current record, still to come */
    bool complete;           /* END_REQUEST came */
    uint32_t app_status;
    unsigned protocol_status; /* 0 = the request was served */
    const char *fault;        /* why the bytes are no FastCGI answer; NULL = they are one so far */
};

/* Reads bytes of the answer; bytes after the end of the request are ignored. */
void fcgi_client_feed(struct fcgi_client_answer *answer, const char *bytes, size_t size);

/* What a protocol status other than 0 means, as the end of a sentence. */
const char *fcgi_client_refusal(unsigned protocol_status);

#endif
