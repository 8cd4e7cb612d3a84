/* deadline.h: has a request, or its post-response work, passed its time limit?
 *
 * Pure: stamps and limits in; a verdict, and the time of the next check, out.
 */
#ifndef FPM_DEADLINE_H
#define FPM_DEADLINE_H

#include <stdint.h>

enum deadline_verdict {
    DEADLINE_NOT_PASSED,
    DEADLINE_REQUEST,      /* a response has been open for as long as its limit */
    DEADLINE_POST_RESPONSE /* post-response work has gone on for as long as its limit */
};

/* Nanoseconds; 0 = no limit. */
struct deadline_limits {
    uint64_t request, post_response;
};

/* Nanoseconds of CLOCK_MONOTONIC; 0 = there is none. */
struct deadline_stamps {
    uint64_t running_since;  /* start of the oldest request whose response is open */
    uint64_t finished_since; /* end of the oldest response that post-response work follows */
    uint64_t now;
};

/* The stamps that were reported last. No two requests of a thread have the same stamp. Zero at
 * first. */
struct deadline_reported {
    uint64_t running_since, finished_since;
};

/* With `reported`, reports each passed limit once and notes it there; with NULL, every time. Lowers
 * *next_check (0 = none) to the time at which the next limit passes. */
enum deadline_verdict deadline_check(const struct deadline_limits *limits,
                                     const struct deadline_stamps *stamps,
                                     struct deadline_reported *reported, uint64_t *next_check);

#endif
