/* keepalive_policy.c: see keepalive_policy.h. */
#include "sapi-shim/connection/keepalive_policy.h"

#include "sapi-shim/util/clock.h"

#include <stdatomic.h>

/* A request that takes longer keeps other connections waiting, and is expected to be followed by
 * others of its kind for a time. One connection a PRICE is given away on average over a CREDIT. */
#define KEEPALIVE_POLICY_SLOW     (8 * CLOCK_NS_PER_MS)
#define KEEPALIVE_POLICY_EXPECTED (10000 * CLOCK_NS_PER_MS)
#define KEEPALIVE_POLICY_PRICE    (1 * CLOCK_NS_PER_MS)
#define KEEPALIVE_POLICY_CREDIT   (200 * CLOCK_NS_PER_MS)

bool keepalive_policy_begin(struct keepalive_policy *share, uint64_t now, size_t kept)
{
    uint64_t paid = share->paid;
    share->began = now;
    if (now >= share->slow_until || paid > now + KEEPALIVE_POLICY_CREDIT)
        return false;
    share->paid = (paid > now ? paid : now) + kept * KEEPALIVE_POLICY_PRICE;
    return true;
}

bool keepalive_policy_timed(const struct keepalive_policy *share)
{
    return atomic_load_explicit(&share->began, memory_order_relaxed) != 0;
}

void keepalive_policy_end(struct keepalive_policy *share, uint64_t now)
{
    if (now - share->began >= KEEPALIVE_POLICY_SLOW)
        share->slow_until = now + KEEPALIVE_POLICY_EXPECTED;
    share->began = 0;
}

void keepalive_policy_crowded(struct keepalive_policy *share, uint64_t now)
{
    share->slow_until = now + KEEPALIVE_POLICY_EXPECTED;
}
