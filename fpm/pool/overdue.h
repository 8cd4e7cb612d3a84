/* overdue.h: has a worker's request, or its work after the response, gone on for too long?
 *
 * Pure: what a look at the slot found and the limits in, a verdict out, and when to look again.
 * Called by limits for request_terminate_timeout and post_response.terminate_timeout.
 */
#ifndef FPM_OVERDUE_H
#define FPM_OVERDUE_H

#include <stdint.h>

enum overdue_verdict {
    OVERDUE_NOTHING,
    OVERDUE_REQUEST, /* the response is open for longer than the limit */
    OVERDUE_POST     /* the work after the response has gone on for longer than its limit */
};

/* Nanoseconds of one steady clock; 0: no such request, no such limit. */
struct overdue_facts {
    uint64_t running_since;  /* the oldest request whose response is open */
    uint64_t finished_since; /* the oldest response behind which work goes on */
    uint64_t request_limit, post_limit;
    uint64_t now;
};

/* `again` becomes the moment at which a limit passes, 0 if none can without news. */
enum overdue_verdict overdue_check(const struct overdue_facts *facts, uint64_t *again);

#endif
