/* fcgi_client.h: FastCGI as a web server speaks it, for one request: bytes to send, bytes that
 * came.
 *
 * Pure: no descriptor is touched. What comes from the other side is checked, never trusted. Called
 * by fcgi_request.
 */
#ifndef FPM_FCGI_CLIENT_H
#define FPM_FCGI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fcgi_client_bytes {
    char *bytes;
    size_t size, room;
    bool failed; /* out of memory, or a parameter that cannot be said */
};

/* Adds a parameter to a list of them, which begins as {0}; the bytes are the caller's to free. */
void fcgi_client_param(struct fcgi_client_bytes *params, const char *name, size_t name_length,
                       const char *value);

/* All that a web server sends: the caller's to free. */
struct fcgi_client_bytes fcgi_client_request(const struct fcgi_client_bytes *params,
                                             const char *body, size_t size);

/* What came. The functions are given pieces of both streams as they come. */
struct fcgi_client_events {
    void (*output)(void *context, const char *bytes, size_t size);
    void (*error)(void *context, const char *bytes, size_t size);
};

struct fcgi_client_answer {
    const struct fcgi_client_events *events;
    void *context;
    unsigned char header[8], end[8];
    size_t header_have, end_have;
    size_t content, padding; /* of the record begun, still to come */
    bool complete;           /* END_REQUEST came */
    uint32_t app_status;
    unsigned protocol_status; /* 0 = the request was served */
    const char *fault;        /* what came is no FastCGI: why; NULL = none */
};

/* Takes bytes in; those behind the end are left alone. */
void fcgi_client_feed(struct fcgi_client_answer *answer, const char *bytes, size_t size);

/* What a protocol status other than 0 means, as the end of a sentence. */
const char *fcgi_client_refusal(unsigned protocol_status);

#endif
