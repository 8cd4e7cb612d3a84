/* keepalive_policy.h: shall a worker that begins a request leave the idle connections it keeps to
 * others?
 *
 * The next request on one of them would have to wait if this one takes long, which is expected
 * where others have. Giving a connection away is dearer than a short request, so that it is done no
 * more than so often. Pure: moments (clock.h, ns; a coarse clock will do) and counts in, a verdict
 * out. Called by wait_set.c.
 */
#ifndef OT_KEEPALIVE_POLICY_H
#define OT_KEEPALIVE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero at birth. Any thread may look; one at a time begins and ends a request. */
struct keepalive_policy {
    _Atomic uint64_t began;      /* a request is served while connections were kept; 0 = none is */
    _Atomic uint64_t slow_until; /* requests are expected to take long */
    _Atomic uint64_t paid;       /* what was given away is paid for then */
};

/* A request begins while so many connections are kept, at least one. True if they shall be left to
 * others: all, or as many as others take. */
bool keepalive_policy_begin(struct keepalive_policy *share, uint64_t now, size_t kept);

/* Is there a request whose end keepalive_policy_end wants to know? */
bool keepalive_policy_timed(const struct keepalive_policy *share);
void keepalive_policy_end(struct keepalive_policy *share, uint64_t now);

/* Many connections may have come at once, as a worker left that kept them. */
void keepalive_policy_crowded(struct keepalive_policy *share, uint64_t now);

#endif
