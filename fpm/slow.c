/* slow.c: see slow.h. */
#include "fpm/slow.h"

#include <stdbool.h>

static bool slow_one(uint64_t since, uint64_t limit, uint64_t now, uint64_t *seen, uint64_t *again)
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

enum slow_verdict slow_check(const struct slow_limits *limits, const struct slow_facts *facts,
                             struct slow_seen *seen, uint64_t *again)
{
    uint64_t now = facts->now;
    if (slow_one(facts->running_since, limits->request, now, &seen->running_since, again))
        return SLOW_REQUEST;
    if (slow_one(facts->finished_since, limits->post, now, &seen->finished_since, again))
        return SLOW_POST;
    return SLOW_NOTHING;
}
