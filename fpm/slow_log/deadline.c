/* deadline.c: see deadline.h. */
#include "fpm/slow_log/deadline.h"

#include <stdbool.h>
#include <stddef.h>

static bool deadline_passed(uint64_t since, uint64_t limit, uint64_t now, uint64_t *reported,
                            uint64_t *next_check)
{
    if (since == 0 || limit == 0 || (reported != NULL && since == *reported))
        return false;
    /* A stamp from the future, which only a faulty worker writes, counts from now. */
    uint64_t from = since > now ? now : since;
    if (now - from >= limit) {
        if (reported != NULL)
            *reported = since;
        return true;
    }
    if (*next_check == 0 || from + limit < *next_check)
        *next_check = from + limit;
    return false;
}

enum deadline_verdict deadline_check(const struct deadline_limits *limits,
                                     const struct deadline_stamps *stamps,
                                     struct deadline_reported *reported, uint64_t *next_check)
{
    if (deadline_passed(stamps->running_since, limits->request, stamps->now,
                        reported != NULL ? &reported->running_since : NULL, next_check))
        return DEADLINE_REQUEST;
    if (deadline_passed(stamps->finished_since, limits->post_response, stamps->now,
                        reported != NULL ? &reported->finished_since : NULL, next_check))
        return DEADLINE_POST_RESPONSE;
    return DEADLINE_NOT_PASSED;
}
