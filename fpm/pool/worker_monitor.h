/* worker_monitor.h: checks the workers of a pool: all of them, or those that changed since the last
 * check.
 *
 * Applies the time and memory limits, feeds the slow log, and counts what the workers of one
 * generation do. Knows when the next limit of a worker expires; when to check all workers is the
 * caller's decision.
 */
#ifndef FPM_WORKER_MONITOR_H
#define FPM_WORKER_MONITOR_H

#include "fpm/pool/pool.h"

#include <stdbool.h>
#include <stdint.h>

/* What a worker did when it was last checked. */
enum worker_monitor_state {
    WORKER_MONITOR_NONE,     /* no worker, or one that was asked to stop */
    WORKER_MONITOR_STARTING, /* does not accept yet */
    WORKER_MONITOR_IDLE,
    WORKER_MONITOR_PARTLY, /* some threads serve, another one is idle */
    WORKER_MONITOR_SERVING,
    WORKER_MONITOR_POST,    /* in post-response work */
    WORKER_MONITOR_LEAVING, /* accepts no more, by its own decision */
    /* Workers without the library, by what the kernel shows of them. */
    WORKER_MONITOR_UNATTACHED_IDLE,
    WORKER_MONITOR_UNATTACHED_SERVING,
    WORKER_MONITOR_UNATTACHED_UNKNOWN,
    WORKER_MONITOR_UNATTACHED_LOADING, /* has accepted nothing yet, as far as one can see */
    WORKER_MONITOR_STATES
};

/* The state of each worker of a generation, and how many are in each state. */
struct worker_monitor_tally {
    unsigned char *states; /* enum worker_monitor_state by slot */
    unsigned size;
    unsigned counts[WORKER_MONITOR_STATES];
};

struct worker_monitor {
    struct pool *pool;
    /* A worker's limit may have expired: worker_monitor_check looks at it. Called from the
     * loop. */
    void (*on_limit)(void *context);
    void *context;
    const struct generation *generation; /* whose workers are counted; NULL = none */
    struct worker_monitor_tally tally;
    bool library_seen;       /* workers of the generation use the library */
    int64_t report_at;       /* ms: when a worker that does not attach is late; past = none */
    bool told_no_accept;     /* of a worker of the generation that accepts nothing, */
    bool told_no_library;    /* of one without the library: said once for each generation */
    bool limits_pending;     /* at the last full check some work had a limit yet to expire */
    uint64_t limits_expired; /* found at the last check */
    unsigned unproven;       /* young workers without the library not yet seen to accept */
    uint64_t unrung_starts;  /* started workers whose doorbell ring has not been counted yet */
    int64_t last_start;      /* ms: the latest of these was found */
    int64_t last_full_check; /* ms */
    int64_t memory_check_at; /* ms: memory is checked at the first full check after this time */
};

/* Counts the workers of this generation from now on. Returns 0, or -1 without memory: nothing is
 * counted then. */
int worker_monitor_open(struct worker_monitor *monitor, const struct generation *generation);
void worker_monitor_close(struct worker_monitor *monitor);

/* Checks the workers of all generations: `all`, and their memory if that is due, or those that
 * changed their process state, were asked to stop, are starting or in post-response work, or may be
 * over a limit. `now`: clock.h, ms. */
void worker_monitor_check(struct worker_monitor *monitor, bool all, int64_t now);

/* ms: when workers that do not attach may have to be reported, -1 = never. */
int64_t worker_monitor_next_report(const struct worker_monitor *monitor, int64_t now);

/* Counts the workers of the generation that do not accept yet; *longest: ms since the first of them
 * was started, 0 = there is none. As of the last check. */
unsigned worker_monitor_starting(const struct worker_monitor *monitor, int64_t now,
                                 int64_t *longest);

/* Do started workers account for this number of doorbell rings? If so, they are used up. */
bool worker_monitor_explains_rings(struct worker_monitor *monitor, uint64_t rings);

/* ms: when a full check is due for the workers' memory, -1 = never. */
int64_t worker_monitor_next_memory_check(const struct worker_monitor *monitor);

/* All `size` slots become empty. Returns 0, or -1 without memory: there are no slots then. */
int worker_monitor_tally_open(struct worker_monitor_tally *tally, unsigned size);
void worker_monitor_tally_close(struct worker_monitor_tally *tally);

/* Sets the state of a slot, in constant time. Returns the state before. */
enum worker_monitor_state worker_monitor_tally_set(struct worker_monitor_tally *tally,
                                                   unsigned slot, enum worker_monitor_state state);

#endif
