/* time_limit.h: the clocks of one request: when its time is up, and when it is up for good.
 *
 * Times in, verdicts out: reads no clock and sets no timer. The fields are read by the thread's own
 * signal handler, so they change in an order in which no half-set limit can fire. Called by
 * request.c. Times in nanoseconds (clock.h), 0 = none.
 */
#ifndef OT_TIME_LIMIT_H
#define OT_TIME_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct time_limit {
    volatile uint64_t deadline;     /* from here on a safe point ends the request */
    volatile uint64_t hard_at;      /* here the worker ends without one */
    volatile uint64_t cpu_deadline; /* the thread's CPU clock; reaching it makes `deadline` due */
    const char *volatile name;      /* what set it, and how many ms it is; for the log */
    volatile int64_t ms;
    int64_t hard_ms; /* from deadline to hard_at; 0 = never */
    int64_t cpu_ms;  /* what `cpu_deadline` stands for */
};

/* Starts the clock: `ms` from now, 0 = no limit. */
void time_limit_set(struct time_limit *limit, int64_t ms, const char *name, uint64_t now);

/* Starts the CPU clock: `ms` of the thread's CPU time from `cpu_now`, 0 = no limit. */
void time_limit_set_cpu(struct time_limit *limit, int64_t ms, uint64_t cpu_now);

/* The time-out was noticed: it is not noticed again, and a safe point having been reached, there is
 * no hard end. */
void time_limit_notice(struct time_limit *limit);

/* The CPU clock shows `cpu_now`: if that is past its limit, the deadline is now. */
void time_limit_cpu(struct time_limit *limit, uint64_t cpu_now, uint64_t now);

bool time_limit_is_reached(const struct time_limit *limit, uint64_t now);
bool time_limit_is_hard(const struct time_limit *limit, uint64_t now);

/* When the handler has to look again; `cpu_now` counts only with a CPU limit. */
uint64_t time_limit_next(const struct time_limit *limit, uint64_t cpu_now, uint64_t now);

#endif
