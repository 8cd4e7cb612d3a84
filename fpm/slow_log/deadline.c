/* deadline.c: see deadline.h. */
#include "fpm/slow_log/deadline.h"

#include <stdbool.h>

static bool deadline_one(uint64_t since, uint64_t limit, uint64_t now, uint64_t *seen,
                         uint64_t *again)
{
    if (since == 0 || limit == 0 || since == *seen)
        return false;
    /* A stamp from the future is not a worker's to write: it counts from now. */
    uint64_t from = since > now ? now : since;
    if (now - from >= limit) {
        *seen = since;
        return true;
    }
    if (*again == 0 || from + limit < *again)
        *again = from + limit;
    return false;
}

enum deadline_verdict deadline_check(const struct deadline_limits *limits,
                                     const struct deadline_facts *facts, struct deadline_seen *seen,
                                     uint64_t *again)
{
    uint64_t now = facts->now;
    if (deadline_one(facts->running_since, limits->request, now, &seen->running_since, again))
        return DEADLINE_REQUEST;
    if (deadline_one(facts->finished_since, limits->post, now, &seen->finished_since, again))
        return DEADLINE_POST;
    return DEADLINE_NOTHING;
}
