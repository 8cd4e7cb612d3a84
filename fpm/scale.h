/* scale.h: how many workers a pool starts or retires now, and why.
 *
 * Pure: limits, counts and a memory of the pool in, a verdict out; the clock is the caller's. Never
 * looks at a worker. Called by keeper at every event that may matter.
 */
#ifndef FPM_SCALE_H
#define FPM_SCALE_H

#include <stdbool.h>
#include <stdint.h>

enum scale_kind {
    SCALE_STATIC,
    SCALE_DYNAMIC,
    SCALE_ONDEMAND
};

/* From the directives of the same names. */
struct scale_limits {
    enum scale_kind kind;
    unsigned max_children;
    unsigned min_spare, max_spare; /* dynamic */
    unsigned max_spawn_rate;       /* workers started in one step, at least 1 */
    unsigned post_max;             /* post_response.max_children */
    int64_t idle_timeout;          /* ms */
};

/* What a look at the pool found. Workers on their way out are not counted. */
struct scale_counts {
    unsigned starting; /* started, do not accept yet */
    unsigned idle;
    unsigned serving;
    unsigned post;    /* in work after the response */
    unsigned waiting; /* connections in the listen queue */
    unsigned first;   /* workers that shall be there at least: those of a start, until they are */
    unsigned room;    /* workers that process.max still allows */
};

/* What a pool remembers between looks; all zero at birth. */
struct scale_memory {
    int64_t since;    /* ms: there have been superfluous workers from then on; 0 = none now */
    unsigned low;     /* fewest superfluous ones since then */
    int64_t patience; /* ms: how long the next look at a queue that does not move may wait */
};

enum scale_reason {
    SCALE_NOTHING,
    SCALE_FIRST,       /* the workers of a start */
    SCALE_WAITING,     /* connections wait */
    SCALE_SPARE,       /* fewer idle ones than pm.min_spare_servers */
    SCALE_MISSING,     /* fewer than pm.max_children, static */
    SCALE_POST,        /* others work on after their responses, static */
    SCALE_SUPERFLUOUS, /* idle and not needed for pm.process_idle_timeout */
    SCALE_REASON_COUNT
};

/* What keeps a pool from having the workers it needs. */
enum scale_limit {
    SCALE_NO_LIMIT,
    SCALE_AT_MAX_CHILDREN,
    SCALE_AT_PROCESS_MAX
};

struct scale_verdict {
    unsigned spawn, retire; /* never both */
    enum scale_reason reason;
    enum scale_limit limit; /* more workers are needed than may be started */
    unsigned over;          /* in post-response work beyond the budget: they count as serving */
    bool watch;             /* a connection that finds no idle worker matters */
    bool at_rest;           /* nothing happens and nothing is to come */
    int64_t again;          /* ms until the next look without an event, -1 = never; looks that need
                             * no precision fall on whole seconds of the clock */
};

struct scale_verdict scale_decide(const struct scale_limits *limits,
                                  const struct scale_counts *counts, struct scale_memory *memory,
                                  int64_t now);

/* "3 connections wait" and the like: the reason as words for the log. */
const char *scale_reason_name(enum scale_reason reason);

#endif
