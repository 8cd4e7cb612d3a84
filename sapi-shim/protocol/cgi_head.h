/* cgi_head.h: the head of a CGI response, read from the bytes that the application writes; pure.
 *
 * Finds the status, and any field while the head is kept. Decides nothing.
 */
#ifndef OT_CGI_HEAD_H
#define OT_CGI_HEAD_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CGI_HEAD_MAX = 65536 /* bytes; the rest of a longer head is ignored */
};

struct cgi_head {
    bool done; /* the empty line has come, or CGI_HEAD_MAX bytes without one */
    /* 100 to 999; 0 before `done`; OT_HTTP_STATUS_UNKNOWN if it may stand beyond CGI_HEAD_MAX. */
    unsigned status;
    size_t length;
    char *text; /* what is kept; allocated */
};

/* Takes in the next bytes of the response. Without `keep` nothing is kept once the head is
 * complete. Without memory the head ends with what has come. */
void cgi_head_feed(struct cgi_head *head, const char *bytes, size_t count, bool keep);

/* The response is complete: there is no more of the head. */
void cgi_head_end(struct cgi_head *head);

/* A field's value, without the blanks around it and without NUL; NULL if there is none. Ignores the
 * case of `name`. Only with `keep`. */
const char *cgi_head_get(const struct cgi_head *head, const char *name, size_t name_length,
                         size_t *length);

/* Frees and empties. */
void cgi_head_free(struct cgi_head *head);

#endif
