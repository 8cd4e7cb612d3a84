/* load_clock.h: when the next requests are due. Pure: a plan and numbers in, points in time out.
 *
 * Only patterns with a schedule of their own (LOAD_OPEN, LOAD_BURST) are known here.
 */
#ifndef LOAD_CLOCK_H
#define LOAD_CLOCK_H

#include "tests/bench/load_plan.h"

struct load_clock {
    const struct load_plan *plan;
    uint64_t random;
    int64_t begin;
    int64_t next;   /* when the next request is due; INT64_MAX = none is any more */
    uint64_t given; /* requests so far */
};

/* `begin`: when the run begins. */
void load_clock_start(struct load_clock *clock, const struct load_plan *plan, int64_t begin);

/* A request was started: finds out when the next one is due. With LOAD_CLOSED it only counts, and
 * says INT64_MAX once there shall be no more. */
void load_clock_step(struct load_clock *clock);

/* No more after `now`. */
void load_clock_stop(struct load_clock *clock);

/* The kind of the next request, at random by weight. */
size_t load_clock_kind(struct load_clock *clock);

#endif
