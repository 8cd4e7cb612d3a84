/* slow_log.h: the slow log of a pool: one entry for each request that takes too long, and one for
 * the work after it, with the stack that shows where.
 *
 * Opens the file, finds who is to be entered (slow), has a helper look at the stack (trace) and
 * writes the entry when that has come back, or why there is none. Nobody waits for any of it.
 * Called by pool and supervisor, and by master for what concerns all of them.
 */
#ifndef FPM_SLOW_LOG_H
#define FPM_SLOW_LOG_H

#include "fpm/pool/generation.h"

#include <stddef.h>
#include <stdint.h>

struct slowlog;

/* Opens the log that `pool` wants, for as long as these settings are in force; *log is NULL where
 * it wants none. Returns 0, or -1 with a sentence that names the directive. */
int slow_log_open(struct slowlog **log, const struct config_pool *pool, char *error, size_t size);

/* Entries that wait for their stack are written all the same. Forgets the pointer; NULL is fine. */
void slow_log_close(struct slowlog **log);

/* Enters what is to be entered of a worker that was looked at; `log` may be NULL. *again becomes
 * the moment (ns, clock.h) at which the next limit passes, if that is earlier than what stands
 * there; 0 = none. Returns the number of entries. */
unsigned slow_log_look(struct slowlog *log, struct generation_member *member,
                       const struct scoreboard_glance *glance, uint64_t *again);

/* The least age of a request that is entered: ns, 0 = none is. `log` may be NULL. */
uint64_t slow_log_limit(const struct slowlog *log);

/* The same of work after a response. */
uint64_t slow_log_post_limit(const struct slowlog *log);

/* The generation is about to be freed. */
void slow_log_forget(const struct generation *generation);

/* Opens all files anew, after somebody moved the old ones away. Returns 0, or -1 with a sentence
 * about the first that failed; those go on where they were. */
int slow_log_reopen(char *error, size_t size);

#endif
