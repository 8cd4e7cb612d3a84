/* When a worker leaves its idle connections to others: by how long requests have taken, and not too
 * often. */
#include <criterion/criterion.h>

#include "sapi-shim/connection/keepalive_policy.h"

#define MS 1000000ull

enum {
    SOME = 1000000 /* ms: any moment */
};

Test(share, not_before_a_request_took_long)
{
    struct keepalive_policy share = {0};
    uint64_t now = SOME * MS;
    for (int i = 0; i < 100; i++) {
        cr_expect_not(keepalive_policy_begin(&share, now, 3));
        cr_expect(keepalive_policy_timed(&share));
        keepalive_policy_end(&share, now + 7 * MS);
        cr_expect_not(keepalive_policy_timed(&share));
        now += 10 * MS;
    }
}

Test(share, for_ten_seconds_after_one_did)
{
    struct keepalive_policy share = {0};
    uint64_t now = SOME * MS;
    cr_expect_not(keepalive_policy_begin(&share, now, 1));
    now += 8 * MS;
    keepalive_policy_end(&share, now);
    cr_expect(keepalive_policy_begin(&share, now, 1));
    keepalive_policy_end(&share, now + MS);
    cr_expect(keepalive_policy_begin(&share, now + 9999 * MS, 1));
    keepalive_policy_end(&share, now + 9999 * MS);
    cr_expect_not(keepalive_policy_begin(&share, now + 10000 * MS, 1),
                  "short ones do not prolong it");
}

Test(share, at_once_where_many_have_come)
{
    struct keepalive_policy share = {0};
    keepalive_policy_crowded(&share, SOME * MS);
    cr_expect(keepalive_policy_begin(&share, SOME * MS, 40));
    keepalive_policy_end(&share, (SOME + 1) * MS);
    cr_expect_not(keepalive_policy_begin(&share, (SOME + 10000) * MS, 40));
}

Test(share, a_thousand_connections_a_second)
{
    struct keepalive_policy share = {0};
    uint64_t now = SOME * MS;
    unsigned given = 0;
    keepalive_policy_crowded(&share, now);
    for (int i = 0; i < 50000; i++, now += MS / 10) {
        given += keepalive_policy_begin(&share, now, 5) ? 5 : 0;
        keepalive_policy_end(&share, now);
    }
    cr_expect(given >= 5000 && given <= 5300, "%u in five seconds", given);
}
