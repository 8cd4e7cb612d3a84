/* keepalive_policy.c: see keepalive_policy.h. */
#include "sapi-shim/connection/keepalive_policy.h"

#include "sapi-shim/util/clock.h"

#include <stdatomic.h>
#include <sys/param.h>

/* After a request of at least SLOW, slow ones are expected for the time EXPECTED. One connection
 * per PRICE is passed on, on average over the time CREDIT. */
#define KEEPALIVE_POLICY_SLOW     (8 * CLOCK_NS_PER_MS)
#define KEEPALIVE_POLICY_EXPECTED (10000 * CLOCK_NS_PER_MS)
#define KEEPALIVE_POLICY_PRICE    (1 * CLOCK_NS_PER_MS)
#define KEEPALIVE_POLICY_CREDIT   (200 * CLOCK_NS_PER_MS)

bool keepalive_policy_begin(struct keepalive_policy *policy, uint64_t now, size_t kept)
{
    uint64_t paid_until = policy->paid_until;
    policy->began = now;
    if (now >= policy->slow_until || paid_until > now + KEEPALIVE_POLICY_CREDIT)
        return false;
    policy->paid_until = MAX(paid_until, now) + kept * KEEPALIVE_POLICY_PRICE;
    return true;
}

void keepalive_policy_end(struct keepalive_policy *policy, uint64_t now)
{
    if (now - policy->began >= KEEPALIVE_POLICY_SLOW)
        keepalive_policy_expect_slow(policy, now);
    policy->began = 0;
}

void keepalive_policy_expect_slow(struct keepalive_policy *policy, uint64_t now)
{
    policy->slow_until = now + KEEPALIVE_POLICY_EXPECTED;
}

bool keepalive_policy_try(struct keepalive_policy_skip *skip)
{
    unsigned left = atomic_load_explicit(&skip->left, memory_order_relaxed);
    if (left > 0)
        atomic_store_explicit(&skip->left, left - 1, memory_order_relaxed);
    return left == 0;
}

void keepalive_policy_tried(struct keepalive_policy_skip *skip, bool paid)
{
    unsigned before = atomic_load_explicit(&skip->length, memory_order_relaxed);
    unsigned length = paid ? 0 : MIN(2 * before + 1, KEEPALIVE_POLICY_SKIP_MAX);
    atomic_store_explicit(&skip->length, length, memory_order_relaxed);
    atomic_store_explicit(&skip->left, length, memory_order_relaxed);
}
