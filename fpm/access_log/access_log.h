/* access_log.h: the access logs: a pipe for each generation of workers, a file for each pipe, and
 * the one process that empties the first into the second.
 *
 * Opens the files and hands them over, writes the lines that dead workers left owing, and tells the
 * operator of lines that were lost. It never waits for a disk. One set of logs per process; called
 * by generation, and by master for what concerns all of them.
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
    int status; /* of wait(2), -1 unknown */
    bool asked; /* the manager had told it to go */
};

/* Opens the log that `pool` wants and publishes its format on the scoreboard, before the first
 * worker starts. *access is NULL where the pool wants none. Returns 0, or -1 with a sentence that
 * names the directive. */
int access_log_open(struct access_log **access, struct ev_loop *loop,
                    const struct config_pool *pool, const struct scoreboard *scoreboard,
                    char *error, size_t size);

/* What workers inherit as OT_FD_ACCESS; -1 = nothing. */
int access_log_fd(const struct access_log *access);

/* Writes a line for every request that a dead worker had not written one for, before its slot is
 * given to another. */
void access_log_write_unfinished(struct access_log *access, const struct scoreboard *scoreboard,
                                 unsigned slot, const struct access_log_end *end);

/* No worker lives that could write. Forgets the pointer; NULL is fine. */
void access_log_close(struct access_log **access);

/* Opens all files anew, after somebody moved the old ones away. Returns 0, or -1 with a sentence
 * about the first that failed; those go on where they were. */
int access_log_reopen(char *error, size_t size);

/* Hands all logs and their writer over to the program that takes this one's place, or takes them
 * over, with `loop`, whichever the state is for. */
void access_log_saved_state(struct saved_state *state, struct ev_loop *loop);

/* By what a generation finds its log again; 0 = none. */
uint32_t access_log_id(const struct access_log *access);

/* The log that was taken over under this id, whose lines look so. NULL if there is none, or with a
 * fault on the state. */
struct access_log *access_log_restore(struct saved_state *state, uint32_t id, const char *format);

/* Waits until all lines are in their files, but not for long. At the manager's end, when all are
 * closed. */
void access_log_finish(void);

#endif
