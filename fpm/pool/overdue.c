/* overdue.c: see overdue.h. */
#include "fpm/pool/overdue.h"

#include <stdbool.h>

/* True if the limit is passed; else *again becomes the moment, if it is the earlier one. */
static bool overdue_one(uint64_t since, uint64_t limit, uint64_t now, uint64_t *again)
{
    if (since == 0 || limit == 0)
        return false;
    /* A stamp from the future is not a worker's to write: it counts from now. */
    if (since > now)
        since = now;
    if (now - since >= limit)
        return true;
    if (*again == 0 || since + limit < *again)
        *again = since + limit;
    return false;
}

enum overdue_verdict overdue_check(const struct overdue_facts *facts, uint64_t *again)
{
    *again = 0;
    if (overdue_one(facts->running_since, facts->request_limit, facts->now, again))
        return OVERDUE_REQUEST;
    if (overdue_one(facts->finished_since, facts->post_limit, facts->now, again))
        return OVERDUE_POST;
    return OVERDUE_NOTHING;
}
