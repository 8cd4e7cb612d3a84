/* access_log.h: the access logs: a pipe for each generation of workers, a file for each pipe, and
 * one process, the writer, that moves lines from the pipes into the files.
 *
 * Opens the files and gives them to the writer, writes the lines that dead workers did not write,
 * and logs how many lines were lost. It never waits for a disk. There is one set of logs per
 * process.
 */
#ifndef FPM_ACCESS_LOG_H
#define FPM_ACCESS_LOG_H

#include "fpm/config/config.h"
#include "fpm/util/saved_state.h"
#include "fpm/worker/scoreboard.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct access_log;

/* How a worker ended. */
struct access_log_end {
    int status;          /* of wait(2), -1 = unknown */
    bool stop_requested; /* by the manager */
};

/* Opens the log that `pool` wants and publishes its format on the scoreboard, before the first
 * worker starts. *access is NULL if the pool wants none. Returns 0, or -1 with a sentence that
 * names the directive. */
int access_log_open(struct access_log **access, struct ev_loop *loop,
                    const struct config_pool *pool, const struct scoreboard *scoreboard,
                    char *error, size_t size);

/* Can the file that `pool` names be opened? Creates it. Returns 0, or -1 with errno and a sentence
 * that names the directive. */
int access_log_check(const struct config_pool *pool, char *error, size_t size);

/* The workers' OT_FD_ACCESS; -1 = none. */
int access_log_fd(const struct access_log *access);

/* Writes the missing line of each request of a dead worker. Call it before its slot is used again.
 */
void access_log_write_unfinished(struct access_log *access, const struct scoreboard *scoreboard,
                                 unsigned slot, const struct access_log_end *end);

/* Call it when no worker can write any more. Sets the pointer to NULL; it may be NULL. */
void access_log_close(struct access_log **access);

/* Opens all files again, after log rotation. Returns 0, or -1 with a sentence about the first that
 * failed; such a log keeps its old file. */
int access_log_reopen(char *error, size_t size);

/* Saves all logs and their writer, or restores them, with `loop`. */
void access_log_saved_state(struct saved_state *state, struct ev_loop *loop);

/* The same for one generation's log, NULL = none, whose lines have this format. */
void access_log_saved_reference(struct access_log **access, struct saved_state *state,
                                char *format);

/* At the manager's end, when all logs are closed: waits until all lines are in their files, but at
 * most 3 s. */
void access_log_finish(void);

#endif
