/* time_limit.h: the clocks of one request: when its time limit and its hard limit are reached.
 *
 * Times in, verdicts out: reads no clock and sets no timer. The thread's own signal handler reads
 * the fields, so they change in an order in which no half-set limit can act. Times are nanoseconds
 * of CLOCK_MONOTONIC (clock.h), 0 = none.
 */
#ifndef OT_TIME_LIMIT_H
#define OT_TIME_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct time_limit {
    volatile uint64_t deadline;     /* a safe point after it ends the request */
    volatile uint64_t hard_at;      /* the worker ends if no safe point was reached before */
    volatile uint64_t cpu_deadline; /* of the thread's CPU clock; then `deadline` is due as well */
    const char *volatile name;      /* the setting that `deadline` follows from, for the log */
    volatile int64_t ms;            /* its value */
    int64_t hard_ms;                /* from `deadline` to `hard_at`; 0 = no hard limit */
    int64_t cpu_ms;                 /* the value that `cpu_deadline` follows from */
};

/* Starts the clock: `ms` from now, 0 = no limit. */
void time_limit_set(struct time_limit *limit, int64_t ms, const char *name, uint64_t now);

/* Starts the CPU clock: `ms` of the thread's CPU time from `cpu_now`, 0 = no limit. */
void time_limit_set_cpu(struct time_limit *limit, int64_t ms, uint64_t cpu_now);

/* Takes note of a reached limit at a safe point: it is not reported again, and the hard limit no
 * longer applies. */
void time_limit_clear(struct time_limit *limit);

/* Compares the CPU clock with its limit; when that is reached, the deadline is now. */
void time_limit_check_cpu(struct time_limit *limit, uint64_t cpu_now, uint64_t now);

bool time_limit_is_reached(const struct time_limit *limit, uint64_t now);
bool time_limit_is_hard(const struct time_limit *limit, uint64_t now);

/* How late (ns) the hard limit may act, for timer_expect: a small part of the whole time. */
uint64_t time_limit_leeway(const struct time_limit *limit);

#endif
