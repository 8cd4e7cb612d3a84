/* backoff.h: how long a pool waits before it replaces a dead worker, and whether so many workers
 * crashed that all are to be replaced.
 *
 * Pure: a description of one death and the memory of earlier ones in, a delay or a yes out. The
 * caller passes the time.
 */
#ifndef FPM_BACKOFF_H
#define FPM_BACKOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_LONGEST_MS = 60000,
    BACKOFF_STABLE_MS = 10000, /* a worker that ran this long did not fail to start */
    BACKOFF_EARLY_MS = 1000,   /* an end before this age counts for the rate of starts */
    BACKOFF_RATE = 100,        /* early ends a second that are replaced at once */
    BACKOFF_BURST = 100,       /* early ends that may come at once */
    BACKOFF_USEFUL_MS = 2000   /* an unattached worker that ran this long may end as it likes */
};

/* One death. */
struct backoff_death {
    int64_t now;      /* ms, a steady clock */
    int64_t started;  /* ms, same clock */
    bool no_process;  /* with exec_failed: no process could be made */
    bool exec_failed; /* the program never ran */
    bool stopped;     /* the manager had asked it to stop */
    bool attached;    /* it uses the library: `served` is known */
    bool accepting;   /* it had reached its accept loop, or was seen to take from the queue */
    uint64_t served;  /* requests */
    int exit_status;  /* -1: a signal ended it */
    int signal;       /* 0: it exited */
    bool pool_served; /* the pool served a request since its last failure */
};

/* What a pool remembers; starts all zero. */
struct backoff {
    unsigned failures; /* in a row; 0 = none */
    int64_t last;      /* ms: the last failure that counted */
    int64_t until;     /* ms: no start before this time; only with failures > 0 */
    int64_t early;     /* ms: the time up to which early ends have used the rate of starts up */
};

enum backoff_verdict {
    BACKOFF_RECYCLED, /* a normal end: replace at once, forget failures */
    BACKOFF_KILLED,   /* by a signal from outside: replace at once, keep the failures counted */
    BACKOFF_FAILED    /* a failed start or an early crash: wait */
};

/* What this death says about the pool. */
enum backoff_verdict backoff_judge(const struct backoff_death *death);

/* Counts a death. Returns the milliseconds from death->now to the next start, 0 = at once.
 * `new_step`, if not NULL, is set to whether the delay is a new step, which deserves a log line. */
int64_t backoff_note(struct backoff *backoff, const struct backoff_death *death, bool *new_step);

/* Milliseconds from `now` until the pool may start a worker; 0 = now. */
int64_t backoff_wait(const struct backoff *backoff, int64_t now);

/* The part of it that is due to the rate of early ends. */
int64_t backoff_rate_wait(const struct backoff *backoff, int64_t now);

/* The delay after this many failures in a row. */
int64_t backoff_delay(unsigned failures);

/* The times of the latest crashes; starts all zero. */
struct backoff_crashes {
    int64_t *at; /* ms, a ring of `size` */
    size_t size, next, count;
};

/* Counts a crash. Returns true if it is the last of `threshold` (0: never) within `interval_ms`,
 * and forgets them then. Without memory: false. */
bool backoff_note_crash(struct backoff_crashes *crashes, size_t threshold, int64_t interval_ms,
                        int64_t now);
void backoff_free_crashes(struct backoff_crashes *crashes);

#endif
