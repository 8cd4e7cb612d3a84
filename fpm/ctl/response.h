/* response.h: the response of an application: passed on as it comes, or kept for a JSON object.
 *
 * Knows enough of CGI headers to tell the status and whether the body is whole. Touches standard
 * output and standard error alone.
 */
#ifndef FPM_RESPONSE_H
#define FPM_RESPONSE_H

#include "fpm/ctl/fcgi_client.h"

#include <jansson.h>

enum {
    RESPONSE_HEAD_MAX = 65536,
    RESPONSE_KEPT_MAX = 64 << 20 /* bytes, for JSON */
};

/* A standard stream that is a terminal: it gets no control character but ends of lines and tabs. */
struct response_terminal {
    bool shows;
    char cut[4]; /* the begin of a character whose rest has not come */
    size_t length;
};

struct response {
    struct response_terminal out, err;
    bool keep;                       /* for response_json, instead of passing it on */
    struct fcgi_client_bytes output; /* with `keep` all of it, else the head */
    struct fcgi_client_bytes error;  /* with `keep` */
    size_t head;                     /* bytes up to the body; 0 = not known yet */
    uint64_t total;                  /* bytes of output */
    unsigned status;                 /* of HTTP; 0 = no head came */
    int64_t promised;                /* Content-Length, -1 = none */
    bool too_long;                   /* more than is kept */
};

/* Takes terminals for what they are; `raw` = as anything else, which gets every byte. */
void response_open(struct response *response, bool raw);

/* For struct fcgi_client_events. */
void response_output(void *response, const char *bytes, size_t size);
void response_error(void *response, const char *bytes, size_t size);

/* Shows what is left of a character that was cut off. */
void response_end(struct response *response);

/* Sets the members headers, body and stderr. A body that is not text is null, and body_base64 has
 * it. */
void response_json(const struct response *response, json_t *object);

void response_free(struct response *response);

#endif
