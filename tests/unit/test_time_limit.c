/* test_time_limit.c: when a request reaches its time limit, and its hard limit. */
#include "sapi-shim/request/time_limit.h"

#include "sapi-shim/util/clock.h"

#include <criterion/criterion.h>

#define MS CLOCK_NS_PER_MS

Test(time_limit, hard_limit_follows_the_time_limit)
{
    struct time_limit limit = {.hard_ms = 500};
    time_limit_set(&limit, 1000, "x", 10 * MS);
    cr_assert_not(time_limit_is_reached(&limit, 1009 * MS));
    cr_assert(time_limit_is_reached(&limit, 1010 * MS));
    cr_assert_not(time_limit_is_hard(&limit, 1509 * MS));
    cr_assert(time_limit_is_hard(&limit, 1510 * MS));
    cr_assert_eq(limit.hard_at, 1510 * MS);
}

Test(time_limit, a_safe_point_cancels_the_hard_limit)
{
    struct time_limit limit = {.hard_ms = 500};
    time_limit_set(&limit, 1000, "x", 0);
    time_limit_clear(&limit);
    cr_assert_not(time_limit_is_reached(&limit, 99999 * MS));
    cr_assert_not(time_limit_is_hard(&limit, 99999 * MS));
    cr_assert_eq(limit.hard_at, 0);
}

Test(time_limit, none)
{
    struct time_limit limit = {.hard_ms = 500};
    time_limit_set(&limit, 0, "x", 5 * MS);
    cr_assert_not(time_limit_is_reached(&limit, UINT64_MAX));
    cr_assert_not(time_limit_is_hard(&limit, UINT64_MAX));
    limit.hard_ms = 0;
    time_limit_set(&limit, 10, "x", 5 * MS);
    cr_assert(time_limit_is_reached(&limit, 15 * MS));
    cr_assert_not(time_limit_is_hard(&limit, UINT64_MAX));
}

Test(time_limit, processor_time)
{
    struct time_limit limit = {.hard_ms = 500};
    time_limit_set(&limit, 60000, "wall", 0);
    time_limit_set_cpu(&limit, 200, 50 * MS);
    time_limit_check_cpu(&limit, 249 * MS, 3000 * MS);
    cr_assert_not(time_limit_is_reached(&limit, 3000 * MS));
    time_limit_check_cpu(&limit, 250 * MS, 3001 * MS);
    cr_assert(time_limit_is_reached(&limit, 3001 * MS));
    cr_assert_str_eq(limit.name, "max_execution_cpu_time");
    cr_assert(time_limit_is_hard(&limit, 3501 * MS));
}

Test(time_limit, earlier_of_two)
{
    cr_assert_eq(clock_earlier(0, 0), 0);
    cr_assert_eq(clock_earlier(0, 7), 7);
    cr_assert_eq(clock_earlier(7, 0), 7);
    cr_assert_eq(clock_earlier(7, 9), 7);
    cr_assert_eq(clock_earlier(9, 7), 7);
}

Test(time_limit, leeway)
{
    struct time_limit limit = {.ms = 30000, .hard_ms = 2000};
    cr_assert_eq(time_limit_leeway(&limit), 250 * MS);
    limit.ms = 4400;
    cr_assert_eq(time_limit_leeway(&limit), 100 * MS);
    limit.ms = limit.hard_ms = 0;
    cr_assert_eq(time_limit_leeway(&limit), MS);
}
