/* backoff.h: how long a pool waits before it replaces a dead worker.
 *
 * Pure: facts of one death and a memory of the pool in, a delay out. The clock is the caller's.
 * Called by pool alone.
 */
#ifndef FPM_BACKOFF_H
#define FPM_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_LONGEST_MS = 60000,
    BACKOFF_GROWN_MS = 10000, /* a worker that lived so long did not fail to start */
    BACKOFF_SETTLED_MS = 1000 /* a black box that lived so long and then left did its work */
};

/* What is known of a worker that died. */
struct backoff_death {
    int64_t now;      /* ms, any steady clock */
    int64_t started;  /* ms, same clock */
    bool exec_failed; /* the program never ran */
    bool asked;       /* the manager had told it to go */
    bool attached;    /* it runs the library: `served` and `accepting` mean something */
    bool accepting;   /* it had reached its accept loop */
    uint64_t served;  /* requests */
    int exit_status;  /* -1 when a signal ended it */
    int signal;       /* 0 when it exited */
    bool pool_served; /* the pool served a request since its last failure */
};

/* What a pool remembers; all zero at birth. */
struct backoff {
    unsigned failures; /* in a row; 0 = well */
    int64_t last;      /* ms: the last failure that counted */
    int64_t until;     /* ms: no start before; only with failures > 0 */
};

enum backoff_verdict {
    BACKOFF_RECYCLED, /* a good end: replace at once, forget failures */
    BACKOFF_KILLED,   /* somebody's signal, no fault of the worker: replace, change nothing */
    BACKOFF_FAILED,   /* a failed start or an early crash: wait */
};

/* What this death says about the pool. */
enum backoff_verdict backoff_judge(const struct backoff_death *death);

/* Takes a death into account. Returns the milliseconds from death->now to the next start, 0 = at
 * once. `news`, if not null, is set when the delay is a new step that deserves a log line. */
int64_t backoff_note(struct backoff *backoff, const struct backoff_death *death, bool *news);

/* Milliseconds from `now` until the pool may start a worker; 0 = now. */
int64_t backoff_wait(const struct backoff *backoff, int64_t now);

/* The delay after so many failures in a row (1 = the first). */
int64_t backoff_delay(unsigned failures);

#endif
