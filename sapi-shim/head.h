/* head.h: the head of a CGI response, picked out of the bytes that the application writes; pure.
 *
 * Knows the status, and any field while it is kept. Decides nothing. Called by wire_fcgi.c with the
 * first bytes of a response.
 */
#ifndef OT_HEAD_H
#define OT_HEAD_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HEAD_MAX = 8192 /* bytes; what comes behind is not looked at */
};

struct head {
    bool done;       /* the empty line was seen, or so much that it is not waited for */
    unsigned status; /* 100 to 999; 0 before `done` */
    size_t length;
    char *text; /* what is kept; allocated */
};

/* Takes in the next bytes of the response. Without `keep` nothing is kept once the head is whole.
 * Short of memory, it makes do with what it has. */
void head_feed(struct head *head, const char *bytes, size_t count, bool keep);

/* The response is complete: what has come is all of it. */
void head_end(struct head *head);

/* A field by its name, in any case: its value without the blanks around it, not terminated, or
 * NULL. Only with `keep`. */
const char *head_get(const struct head *head, const char *name, size_t name_length, size_t *length);

/* Frees and empties. */
void head_free(struct head *head);

#endif
