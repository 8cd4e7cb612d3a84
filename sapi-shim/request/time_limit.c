/* time_limit.c: see time_limit.h. */
#include "sapi-shim/request/time_limit.h"

#include "sapi-shim/util/clock.h"

#include <sys/param.h>

enum {
    TIME_LIMIT_LEEWAY_PART = 64,
    TIME_LIMIT_LEEWAY_MIN_MS = 1,
    TIME_LIMIT_LEEWAY_MAX_MS = 250
};

void time_limit_set(struct time_limit *limit, int64_t ms, const char *name, uint64_t now)
{
    limit->hard_at = 0; /* first: the old limit must not act while the new one is being set */
    limit->deadline = ms > 0 ? now + (uint64_t)ms * CLOCK_NS_PER_MS : 0;
    limit->ms = ms;
    limit->name = name;
    if (ms > 0 && limit->hard_ms > 0)
        limit->hard_at = limit->deadline + (uint64_t)limit->hard_ms * CLOCK_NS_PER_MS;
}

void time_limit_set_cpu(struct time_limit *limit, int64_t ms, uint64_t cpu_now)
{
    limit->cpu_ms = ms;
    limit->cpu_deadline = ms > 0 ? cpu_now + (uint64_t)ms * CLOCK_NS_PER_MS : 0;
}

void time_limit_clear(struct time_limit *limit)
{
    limit->hard_at = 0;
    limit->deadline = 0;
}

void time_limit_check_cpu(struct time_limit *limit, uint64_t cpu_now, uint64_t now)
{
    if (limit->cpu_deadline == 0 || cpu_now < limit->cpu_deadline)
        return;
    limit->cpu_deadline = 0;
    limit->name = "max_execution_cpu_time";
    limit->ms = limit->cpu_ms;
    limit->deadline = now;
    if (limit->hard_ms > 0)
        limit->hard_at = now + (uint64_t)limit->hard_ms * CLOCK_NS_PER_MS;
}

bool time_limit_is_reached(const struct time_limit *limit, uint64_t now)
{
    return limit->deadline != 0 && now >= limit->deadline;
}

bool time_limit_is_hard(const struct time_limit *limit, uint64_t now)
{
    return limit->hard_at != 0 && now >= limit->hard_at;
}

uint64_t time_limit_leeway(const struct time_limit *limit)
{
    int64_t ms = (limit->ms + limit->hard_ms) / TIME_LIMIT_LEEWAY_PART;
    ms = MIN(MAX(ms, TIME_LIMIT_LEEWAY_MIN_MS), TIME_LIMIT_LEEWAY_MAX_MS);
    return (uint64_t)ms * CLOCK_NS_PER_MS;
}
