/* deadline.h: is a request to be entered into the slow log now? Once for its response, once for the
 * work after it.
 *
 * Pure: what a look at a thread's record found and the limits in, a verdict out, and when to look
 * again. Called by slowlog.
 */
#ifndef FPM_DEADLINE_H
#define FPM_DEADLINE_H

#include <stdint.h>

enum deadline_verdict {
    DEADLINE_NOTHING,
    DEADLINE_REQUEST, /* request_slowlog_timeout */
    DEADLINE_POST     /* post_response.slowlog_timeout */
};

/* Nanoseconds; 0 = none. */
struct deadline_limits {
    uint64_t request, post;
};

/* Stamps of one steady clock in ns, 0 = no such request; at most one of them is set. */
struct deadline_facts {
    uint64_t running_since;  /* a request whose response is open */
    uint64_t finished_since; /* a response behind which work goes on */
    uint64_t now;
};

/* Which requests of a thread were entered last; zero at first. A stamp stands for its request, as
 * no two have the same. */
struct deadline_seen {
    uint64_t running_since, finished_since;
};

/* Notes in `seen` what it finds. *again becomes the moment at which a limit passes if that is
 * earlier than what stands there; 0 = none. */
enum deadline_verdict deadline_check(const struct deadline_limits *limits,
                                     const struct deadline_facts *facts, struct deadline_seen *seen,
                                     uint64_t *again);

#endif
