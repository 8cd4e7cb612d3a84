/* request_tracking.h: finds out what became of a request with a tracking id (a mark, contract.h).
 *
 * Hands out the ids, finds them in the slots, and remembers those whose worker has ended, for the
 * last REQUEST_TRACKING_MAX ids. Decides nothing. There is one table for the process.
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

/* A new id; 0 without randomness. */
uint64_t request_tracking_begin(void);

/* Looks for the id in this slot, whose worker lives. Fills *out and returns true if it is there. If
 * that cannot be said at this moment, returns false with out->state REQUEST_TRACKING_RUNNING. */
bool request_tracking_look(uint64_t id, const struct scoreboard *scoreboard, unsigned slot,
                           pid_t pid, struct request_tracking *out);

/* Looks for the id among workers that have ended. */
bool request_tracking_look_up_ended(uint64_t id, struct request_tracking *out);

/* Remembers the ids in the slot of a worker that has ended, before the slot is reused. */
void request_tracking_note_end(const struct scoreboard *scoreboard, unsigned slot, pid_t pid);

#endif
