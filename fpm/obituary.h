/* obituary.h: one line about a worker: what it did, how it ended.
 *
 * Pure: facts in, words out. Called by pool.
 */
#ifndef FPM_OBITUARY_H
#define FPM_OBITUARY_H

#include "fpm/log.h"
#include "sapi-shim/view.h"

#include <stdint.h>
#include <sys/types.h>

enum {
    OBITUARY_MAX = 4096
};

struct obituary {
    const char *pool;
    pid_t pid;
    unsigned slot;
    int status;         /* of wait(2) */
    int64_t uptime;     /* ms */
    bool asked;         /* the manager had told it to go */
    bool expected;      /* or it had its share, and left */
    const char *reason; /* for which it ended; NULL = not known */
    const struct view *view;
};

/* "while running GET /report, 2.5 s old, "page 3"", or "in unknown state". `now`: ns, clock.h. */
void obituary_doing(const struct view *view, int64_t now, char *text, size_t size);

/* The whole line. Returns the level it deserves. */
enum log_level obituary_compose(const struct obituary *obituary, int64_t now, char *text,
                                size_t size);

#endif
