/* share.h: shall a worker that begins a request leave the idle connections it keeps to others?
 *
 * The next request on one of them would have to wait if this one takes long, which is expected
 * where others have. Giving a connection away is dearer than a short request, so that it is done no
 * more than so often. Pure: moments (clock.h, ns; a coarse clock will do) and counts in, a verdict
 * out. Called by wait.c.
 */
#ifndef OT_SHARE_H
#define OT_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero at birth. Any thread may look; one at a time begins and ends a request. */
struct share {
    _Atomic uint64_t began;      /* a request is served while connections were kept; 0 = none is */
    _Atomic uint64_t slow_until; /* requests are expected to take long */
    _Atomic uint64_t paid;       /* what was given away is paid for then */
};

/* A request begins while so many connections are kept, at least one. True if they shall be left to
 * others: all, or as many as others take. */
bool share_begin(struct share *share, uint64_t now, size_t kept);

/* Is there a request whose end share_end wants to know? */
bool share_timed(const struct share *share);
void share_end(struct share *share, uint64_t now);

/* Many connections may have come at once, as a worker left that kept them. */
void share_crowded(struct share *share, uint64_t now);

#endif
