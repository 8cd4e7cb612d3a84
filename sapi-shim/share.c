/* share.c: see share.h. */
#include "sapi-shim/share.h"

#include "sapi-shim/clock.h"

#include <stdatomic.h>

#define SHARE_SLOW     (8 * CLOCK_MS)     /* a request that takes longer keeps others waiting */
#define SHARE_EXPECTED (10000 * CLOCK_MS) /* how long that is expected of the next ones */
#define SHARE_PRICE    (1 * CLOCK_MS)     /* one connection is given away so often ... */
#define SHARE_CREDIT   (200 * CLOCK_MS)   /* ... on average over this time */

bool share_begin(struct share *share, uint64_t now, size_t kept)
{
    uint64_t paid = share->paid;
    share->began = now;
    if (now >= share->slow_until || paid > now + SHARE_CREDIT)
        return false;
    share->paid = (paid > now ? paid : now) + kept * SHARE_PRICE;
    return true;
}

bool share_timed(const struct share *share)
{
    return atomic_load_explicit(&share->began, memory_order_relaxed) != 0;
}

void share_end(struct share *share, uint64_t now)
{
    if (now - share->began >= SHARE_SLOW)
        share->slow_until = now + SHARE_EXPECTED;
    share->began = 0;
}

void share_crowded(struct share *share, uint64_t now)
{
    share->slow_until = now + SHARE_EXPECTED;
}
