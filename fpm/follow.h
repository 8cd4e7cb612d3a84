/* follow.h: what has become of requests that carry a mark (contract.h).
 *
 * Hands out the marks, finds them in the slots, and remembers those whose worker is gone, for so
 * many as FOLLOW_MAX last marks. Decides nothing. One table per process; called by verbs and, for
 * the dead, by generation.
 */
#ifndef FPM_FOLLOW_H
#define FPM_FOLLOW_H

#include "fpm/scoreboard.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    FOLLOW_MAX = 256
};

enum follow_state {
    FOLLOW_UNSEEN,
    FOLLOW_RUNNING,
    FOLLOW_ENDED,
    FOLLOW_DIED, /* its worker ended before the request did */
    FOLLOW_LOST
};

struct follow {
    enum follow_state state;
    pid_t pid;
    uint64_t at; /* ENDED, DIED: CLOCK_MONOTONIC in ns */
};

/* A mark that nobody else has; 0 without randomness. */
uint64_t follow_begin(void);

/* Is the mark in this slot, whose worker lives? Fills *out and returns true then. If that cannot be
 * said at this moment, returns false with out->state FOLLOW_RUNNING. */
bool follow_look(uint64_t mark, const struct scoreboard *scoreboard, unsigned slot, pid_t pid,
                 struct follow *out);

/* The same of workers that are gone. */
bool follow_remember(uint64_t mark, struct follow *out);

/* The worker of this slot is dead; before the slot is given to another. */
void follow_bury(const struct scoreboard *scoreboard, unsigned slot, pid_t pid);

#endif
