/* slow_log.h: the slow log of a pool: one entry for each request that takes too long, and one for
 * its post-response work, with the stack.
 *
 * Opens the file, decides which requests to enter (deadline.h), has a helper read the stack
 * (trace_runner.h), and writes the entry when the helper has ended: with the stack, or with the
 * reason why there is none. The event loop never waits for any of it.
 */
#ifndef FPM_SLOW_LOG_H
#define FPM_SLOW_LOG_H

#include "fpm/config/config.h"
#include "fpm/slow_log/deadline.h"
#include "fpm/worker/scoreboard.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct slow_log;

/* Opens the log that `pool` wants, for as long as these settings are in force; *log is NULL if
 * it wants none. Returns 0, or -1 with a sentence that names the directive. */
int slow_log_open(struct slow_log **log, const struct config_pool *pool, char *error, size_t size);

/* Entries that wait for their stack are still written. Forgets the pointer; NULL is fine. */
void slow_log_close(struct slow_log **log);

/* One worker, to be checked. */
struct slow_log_worker {
    const struct scoreboard *scoreboard; /* kept until slow_log_forget */
    unsigned slot;
    pid_t pid;
    /* An array with one element per thread, made when it is needed; the caller frees it. */
    struct deadline_reported **reported;
};

/* Enters the requests of a worker that have become slow; `log` may be NULL. Lowers *next_check (ns,
 * clock.h; 0 = none) to the moment at which the next limit passes. Returns the number of entries.
 */
unsigned slow_log_check(struct slow_log *log, const struct slow_log_worker *worker,
                        const struct scoreboard_glance *glance, uint64_t *next_check);

/* The limits in force: ns, 0 = none. `log` may be NULL. */
struct deadline_limits slow_log_limits(const struct slow_log *log);

/* Call it before the scoreboard is destroyed. */
void slow_log_forget(const struct scoreboard *scoreboard);

/* Opens all files again, after log rotation. Returns 0, or -1 with a sentence about the first that
 * failed; such a log keeps its old file. */
int slow_log_reopen(char *error, size_t size);

#endif
