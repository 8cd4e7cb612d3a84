/* cgi_head.h: the head of a CGI response, picked out of the bytes that the application writes;
 * pure.
 *
 * Knows the status, and any field while it is kept. Decides nothing. Called by libfcgi.c with the
 * first bytes of a response.
 */
#ifndef OT_CGI_HEAD_H
#define OT_CGI_HEAD_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CGI_HEAD_MAX = 8192 /* bytes; what comes behind is not looked at */
};

struct cgi_head {
    bool done;       /* the empty line was seen, or so much that it is not waited for */
    unsigned status; /* 100 to 999; 0 before `done` */
    size_t length;
    char *text; /* what is kept; allocated */
};

/* Takes in the next bytes of the response. Without `keep` nothing is kept once the head is whole.
 * Short of memory, it makes do with what it has. */
void cgi_head_feed(struct cgi_head *head, const char *bytes, size_t count, bool keep);

/* The response is complete: what has come is all of it. */
void cgi_head_end(struct cgi_head *head);

/* A field by its name, in any case: its value without the blanks around it, not terminated, or
 * NULL. Only with `keep`. */
const char *cgi_head_get(const struct cgi_head *head, const char *name, size_t name_length,
                         size_t *length);

/* Frees and empties. */
void cgi_head_free(struct cgi_head *head);

#endif
