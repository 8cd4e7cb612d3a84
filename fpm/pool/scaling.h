/* scaling.h: how many workers a pool starts or retires now, and why.
 *
 * Pure: limits, counts and a memory of the pool in, a verdict out; the caller passes the time.
 * Never looks at a worker.
 */
#ifndef FPM_SCALING_H
#define FPM_SCALING_H

#include <stdbool.h>
#include <stdint.h>

enum scaling_kind {
    SCALING_STATIC,
    SCALING_DYNAMIC,
    SCALING_ONDEMAND
};

/* From the directives of the same names. */
struct scaling_limits {
    enum scaling_kind kind;
    unsigned max_children;
    unsigned min_spare, max_spare; /* dynamic */
    unsigned max_spawn_rate;       /* workers started in one step, at least 1 */
    unsigned post_max;             /* post_response.max_children */
    int64_t idle_timeout;          /* ms */
};

/* What a check of the pool found. Workers that are stopping are not counted. */
struct scaling_counts {
    unsigned starting; /* do not accept yet */
    unsigned idle;
    unsigned
        partly; /* serve in some threads and have an idle one: neither needed nor superfluous */
    unsigned serving;
    unsigned post;    /* in post-response work */
    unsigned waiting; /* connections in the listen queue */
    unsigned
        first; /* least number of workers, from the start of a generation until they are there */
    unsigned free_slots; /* workers that process.max still allows */
};

/* What a pool remembers between checks; starts all zero. */
struct scaling_memory {
    int64_t since;       /* ms: there are superfluous workers since then; 0 = none now */
    unsigned low;        /* the smallest number of superfluous workers since then */
    int64_t queue_check; /* ms until a queue that does not move is checked again */
};

enum scaling_reason {
    SCALING_NOTHING,
    SCALING_FIRST,       /* the workers of a start */
    SCALING_WAITING,     /* connections wait */
    SCALING_SPARE,       /* fewer idle workers than pm.min_spare_servers */
    SCALING_MISSING,     /* fewer than pm.max_children, static */
    SCALING_POST,        /* other workers are in post-response work, static */
    SCALING_SUPERFLUOUS, /* idle and not needed for pm.process_idle_timeout */
    SCALING_REASON_COUNT
};

/* Which limit keeps a pool from the workers that it needs. */
enum scaling_limit {
    SCALING_NO_LIMIT,
    SCALING_AT_MAX_CHILDREN,
    SCALING_AT_PROCESS_MAX
};

struct scaling_verdict {
    unsigned spawn, retire; /* never both */
    enum scaling_reason reason;
    enum scaling_limit limit; /* more workers are needed than may be started */
    unsigned over;            /* in post-response work above the budget: these count as serving */
    bool watch;               /* a connection that finds no idle worker must lead to a check */
    bool at_rest;             /* nothing happens, and no check is planned */
    int64_t again; /* ms until the next check without an event, -1 = never; checks that need no
                    * precision fall on whole seconds */
};

struct scaling_verdict scaling_decide(const struct scaling_limits *limits,
                                      const struct scaling_counts *counts,
                                      struct scaling_memory *memory, int64_t now);

/* The reason as words for the log: "connections wait". */
const char *scaling_reason_name(enum scaling_reason reason);

#endif
