/* response.h: the answer of an application: passed on as it comes, or kept for a JSON object.
 *
 * Knows CGI's head well enough to tell the status and whether the body is whole. Touches standard
 * output and error alone. Called by fcgi_request.
 */
#ifndef FPM_RESPONSE_H
#define FPM_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    RESPONSE_HEAD_MAX = 65536,
    RESPONSE_KEPT_MAX = 64 << 20 /* bytes, for JSON */
};

struct response_text {
    char *bytes;
    size_t size, room;
};

struct response {
    bool keep;                   /* for response_json, instead of passing on */
    struct response_text output; /* with `keep` all of it, else the head */
    struct response_text error;  /* with `keep` */
    size_t head;                 /* bytes up to the body; 0 = not known yet */
    uint64_t total;              /* bytes of output */
    unsigned status;             /* of HTTP; 0 = no head came */
    int64_t promised;            /* Content-Length, -1 = none */
    bool too_long;               /* more than is kept */
};

/* For struct fcgi_client_events. */
void response_output(void *answer, const char *bytes, size_t size);
void response_error(void *answer, const char *bytes, size_t size);

/* Bytes of body that came. */
uint64_t response_body(const struct response *answer);

/* Writes `"headers": ..., "body": ..., "stderr": ...`: the body as text, or if it is none as
 * "body_base64". */
void response_json(const struct response *answer, FILE *out);

void response_free(struct response *answer);

#endif
