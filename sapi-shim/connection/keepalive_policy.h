/* keepalive_policy.h: what a worker passes on to its siblings, and which shortcuts it tries.
 *
 * The next request on an idle kept connection has to wait if the worker takes long for another one,
 * so a worker whose requests have taken long passes its idle connections on when a request begins.
 * Passing one on costs more than a short request, so its rate is limited.
 *
 * The adaptive skip backs off from a shortcut that does not pay: after each failure in a row it
 * skips more tries, 1, 3, 7 and so on up to KEEPALIVE_POLICY_SKIP_MAX.
 *
 * Pure; `now` is a stamp of clock.h, a coarse one is enough. Any thread may call: counts by several
 * threads at once may be slightly off.
 */
#ifndef OT_KEEPALIVE_POLICY_H
#define OT_KEEPALIVE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts all zero. One thread at a time begins and ends a request. */
struct keepalive_policy {
    _Atomic uint64_t began;      /* the request that keepalive_policy_end waits for; 0 = none */
    _Atomic uint64_t slow_until; /* until then requests are expected to take long */
    _Atomic uint64_t paid_until; /* moves ahead by a price for each connection passed on */
};

/* A request begins while `kept` (at least 1) connections are idle. True if siblings should get them
 * all. */
bool keepalive_policy_begin(struct keepalive_policy *policy, uint64_t now, size_t kept);

/* The request whose `began` is not 0 has ended. */
void keepalive_policy_end(struct keepalive_policy *policy, uint64_t now);

/* Requests are expected to take long from now on, also because connections of a worker that has
 * left were added. */
void keepalive_policy_expect_slow(struct keepalive_policy *policy, uint64_t now);

enum {
    KEEPALIVE_POLICY_SKIP_MAX = 63
};

/* Starts all zero: the first try is made. */
struct keepalive_policy_skip {
    _Atomic unsigned length; /* tries to skip after the last one */
    _Atomic unsigned left;   /* tries of these that are still to be skipped */
};

/* Should the shortcut be tried this time? If so, keepalive_policy_tried follows. */
bool keepalive_policy_try(struct keepalive_policy_skip *skip);
void keepalive_policy_tried(struct keepalive_policy_skip *skip, bool paid);

#endif
