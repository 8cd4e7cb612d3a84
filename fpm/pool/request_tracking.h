/* request_tracking.h: what has become of requests that carry a mark (contract.h).
 *
 * Hands out the marks, finds them in the slots, and remembers those whose worker is gone, for so
 * many as REQUEST_TRACKING_MAX last marks. Decides nothing. One table per process; called by
 * commands and, for the dead, by generation.
 */
#ifndef FPM_REQUEST_TRACKING_H
#define FPM_REQUEST_TRACKING_H

#include "fpm/worker/scoreboard.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    REQUEST_TRACKING_MAX = 256
};

enum request_tracking_state {
    REQUEST_TRACKING_UNSEEN,
    REQUEST_TRACKING_RUNNING,
    REQUEST_TRACKING_ENDED,
    REQUEST_TRACKING_DIED, /* its worker ended before the request did */
    REQUEST_TRACKING_LOST
};

struct request_tracking {
    enum request_tracking_state state;
    pid_t pid;
    uint64_t at; /* ENDED, DIED: CLOCK_MONOTONIC in ns */
};

/* A mark that nobody else has; 0 without randomness. */
uint64_t request_tracking_begin(void);

/* Is the mark in this slot, whose worker lives? Fills *out and returns true then. If that cannot be
 * said at this moment, returns false with out->state REQUEST_TRACKING_RUNNING. */
bool request_tracking_look(uint64_t mark, const struct scoreboard *scoreboard, unsigned slot,
                           pid_t pid, struct request_tracking *out);

/* The same of workers that are gone. */
bool request_tracking_remember(uint64_t mark, struct request_tracking *out);

/* The worker of this slot is dead; before the slot is given to another. */
void request_tracking_bury(const struct scoreboard *scoreboard, unsigned slot, pid_t pid);

#endif
