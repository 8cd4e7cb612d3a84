/* worker_monitor.h: looks at the workers of a pool: at all, or at those that changed since the last
 * look.
 *
 * Has limits end what is over one, has the slow log take what is slow, and counts what the workers
 * of one generation are at. Knows when a limit of a worker passes next; when to look at all is the
 * caller's to decide, with what is told here. Called by keeper.
 */
#ifndef FPM_WORKER_MONITOR_H
#define FPM_WORKER_MONITOR_H

#include "fpm/pool/census.h"
#include "fpm/pool/pool.h"

#include <stdbool.h>
#include <stdint.h>

struct worker_monitor {
    struct pool *pool;
    /* A worker's limit may have passed: it is among those that worker_monitor_touched looks at.
     * From the loop. */
    void (*due)(void *context);
    void *context;
    const struct generation *counted; /* the one whose workers the census has, NULL = none */
    struct census census;
    bool speaking;      /* workers of it have the library */
    bool timed;         /* there was a request, or work, with a limit that has not passed */
    uint64_t passed;    /* limits that had passed at the last look */
    uint64_t settled;   /* workers found to have started that were not heard to ring */
    int64_t settled_at; /* ms: the last of these */
    int64_t all_at;     /* ms: the last look at all */
    int64_t memory_at;  /* ms: the next look at the workers' memory */
};

/* The census is of this generation from now on. Returns 0, or -1 without memory: it counts nobody
 * then. */
int worker_monitor_begin(struct worker_monitor *inspect, const struct generation *generation);

/* Looks at the workers of all generations that moved from state to state, were asked to go, are in
 * their start or in work after the response, or may be over a limit. `now`: clock.h, ms, as below.
 */
void worker_monitor_touched(struct worker_monitor *inspect, int64_t now);

/* Looks at all of them, and at their memory if it is time for that. */
void worker_monitor_all(struct worker_monitor *inspect, int64_t now);

/* Is that the doorbell rang so often explained by workers that are known to have started? Then they
 * have been heard. */
bool worker_monitor_knows_who_rang(struct worker_monitor *inspect, uint64_t rings);

/* Who starts from now on may not ring: nobody that is known to have started explains anything. */
void worker_monitor_deafen(struct worker_monitor *inspect);

/* When all have to be looked at for their memory (ms), -1 = never. */
int64_t worker_monitor_memory_at(const struct worker_monitor *inspect);

void worker_monitor_end(struct worker_monitor *inspect);

#endif
