/* scaling.h: how many workers a pool starts or retires now, and why.
 *
 * Pure: limits, counts and a memory of the pool in, a verdict out; the clock is the caller's. Never
 * looks at a worker. Called by supervisor at every event that may matter.
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

/* What a look at the pool found. Workers on their way out are not counted. */
struct scaling_counts {
    unsigned starting; /* started, do not accept yet */
    unsigned idle;
    unsigned serving;
    unsigned post;    /* in work after the response */
    unsigned waiting; /* connections in the listen queue */
    unsigned first;   /* workers that shall be there at least: those of a start, until they are */
    unsigned room;    /* workers that process.max still allows */
};

/* What a pool remembers between looks; all zero at birth. */
struct scaling_memory {
    int64_t since;    /* ms: there have been superfluous workers from then on; 0 = none now */
    unsigned low;     /* fewest superfluous ones since then */
    int64_t patience; /* ms: how long the next look at a queue that does not move may wait */
};

enum scaling_reason {
    SCALING_NOTHING,
    SCALING_FIRST,       /* the workers of a start */
    SCALING_WAITING,     /* connections wait */
    SCALING_SPARE,       /* fewer idle ones than pm.min_spare_servers */
    SCALING_MISSING,     /* fewer than pm.max_children, static */
    SCALING_POST,        /* others work on after their responses, static */
    SCALING_SUPERFLUOUS, /* idle and not needed for pm.process_idle_timeout */
    SCALING_REASON_COUNT
};

/* What keeps a pool from having the workers it needs. */
enum scaling_limit {
    SCALING_NO_LIMIT,
    SCALING_AT_MAX_CHILDREN,
    SCALING_AT_PROCESS_MAX
};

struct scaling_verdict {
    unsigned spawn, retire; /* never both */
    enum scaling_reason reason;
    enum scaling_limit limit; /* more workers are needed than may be started */
    unsigned over;            /* in post-response work beyond the budget: they count as serving */
    bool watch;               /* a connection that finds no idle worker matters */
    bool at_rest;             /* nothing happens and nothing is to come */
    int64_t again; /* ms until the next look without an event, -1 = never; looks that need
                    * no precision fall on whole seconds of the clock */
};

struct scaling_verdict scaling_decide(const struct scaling_limits *limits,
                                      const struct scaling_counts *counts,
                                      struct scaling_memory *memory, int64_t now);

/* "3 connections wait" and the like: the reason as words for the log. */
const char *scaling_reason_name(enum scaling_reason reason);

#endif
