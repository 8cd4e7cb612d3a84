/* test_keepalive_policy.c: when a worker passes on its idle connections, by how long requests have
 * taken, and not too often; and when a shortcut that fails is skipped. */
#include "sapi-shim/connection/keepalive_policy.h"
#include "sapi-shim/util/clock.h"

#include <criterion/criterion.h>

#define MS CLOCK_NS_PER_MS

static const uint64_t start = 1000000 * MS; /* any moment */

Test(keepalive_policy, not_before_a_request_took_long)
{
    struct keepalive_policy policy = {0};
    uint64_t now = start;
    for (int i = 0; i < 100; i++) {
        cr_expect_not(keepalive_policy_begin(&policy, now, 3));
        cr_expect_neq(policy.began, 0);
        keepalive_policy_end(&policy, now + 7 * MS);
        cr_expect_eq(policy.began, 0);
        now += 10 * MS;
    }
}

Test(keepalive_policy, for_ten_seconds_after_one_did)
{
    struct keepalive_policy policy = {0};
    uint64_t now = start;
    cr_expect_not(keepalive_policy_begin(&policy, now, 1));
    now += 8 * MS;
    keepalive_policy_end(&policy, now);
    cr_expect(keepalive_policy_begin(&policy, now, 1));
    keepalive_policy_end(&policy, now + MS);
    cr_expect(keepalive_policy_begin(&policy, now + 9999 * MS, 1));
    keepalive_policy_end(&policy, now + 9999 * MS);
    cr_expect_not(keepalive_policy_begin(&policy, now + 10000 * MS, 1),
                  "short ones do not prolong it");
}

Test(keepalive_policy, at_once_when_slow_requests_are_expected)
{
    struct keepalive_policy policy = {0};
    keepalive_policy_expect_slow(&policy, start);
    cr_expect(keepalive_policy_begin(&policy, start, 40));
    keepalive_policy_end(&policy, start + MS);
    cr_expect_not(keepalive_policy_begin(&policy, start + 10000 * MS, 40));
}

Test(keepalive_policy, a_thousand_connections_a_second)
{
    struct keepalive_policy policy = {0};
    uint64_t now = start;
    unsigned passed = 0;
    keepalive_policy_expect_slow(&policy, now);
    for (int i = 0; i < 50000; i++, now += MS / 10) {
        passed += keepalive_policy_begin(&policy, now, 5) ? 5 : 0;
        keepalive_policy_end(&policy, now);
    }
    cr_expect(passed >= 5000 && passed <= 5300, "%u in five seconds", passed);
}

/* ---- adaptive skip ---- */

/* How many tries are skipped before the next one. */
static unsigned skipped(struct keepalive_policy_skip *skip)
{
    unsigned count = 0;
    while (!keepalive_policy_try(skip))
        cr_assert_lt(count++, 1000);
    return count;
}

Test(keepalive_policy, a_shortcut_that_pays_is_tried_each_time)
{
    struct keepalive_policy_skip skip = {0};
    for (int i = 0; i < 100; i++) {
        cr_expect(keepalive_policy_try(&skip));
        keepalive_policy_tried(&skip, true);
    }
}

Test(keepalive_policy, failures_in_a_row_skip_more_and_more_tries)
{
    static const unsigned expected[] = {0, 1, 3, 7, 15, 31, 63, 63, 63};
    struct keepalive_policy_skip skip = {0};
    for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_expect_eq(skipped(&skip), expected[i], "after %u failures", i);
        keepalive_policy_tried(&skip, false);
    }
}

Test(keepalive_policy, a_success_ends_skipping)
{
    struct keepalive_policy_skip skip = {0};
    for (int i = 0; i < 5; i++)
        keepalive_policy_tried(&skip, false);
    (void)skipped(&skip);
    keepalive_policy_tried(&skip, true);
    cr_expect_eq(skipped(&skip), 0);
    keepalive_policy_tried(&skip, false);
    cr_expect_eq(skipped(&skip), 1, "failures are counted anew");
}
