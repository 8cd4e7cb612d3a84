/* hard_timeout.h: the end of a worker whose application reaches no safe point.
 *
 * Answers for it from static buffers, says what is lost, and leaves with status 124. Runs in a
 * signal handler that may have interrupted anything, malloc included: everything here is
 * async-signal-safe and nothing of the application runs. Called by request.c.
 */
#ifndef OT_HARD_TIMEOUT_H
#define OT_HARD_TIMEOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HARD_TIMEOUT_STATUS = 124, /* of the process */
    HARD_TIMEOUT_ANSWER = 504  /* of HTTP */
};

struct hard_timeout {
    int fd;          /* of the connection; -1 after the response */
    uint16_t id;     /* of the FastCGI request */
    bool responded;  /* part of the response is out */
    bool mid_record; /* a record may be half out: nothing sane can follow */
    const char *pool;
    const char *method;
    const char *uri;
    const char *phase;
    const char *limit_name; /* what was reached, and how many ms it is */
    int64_t limit;
    int64_t grace; /* hard_timeout in ms */
    size_t lost;   /* shutdown functions that will not run */
    size_t others; /* requests of other threads that end with the process */
};

void hard_timeout_exit(const struct hard_timeout *e) __attribute__((noreturn));

#endif
