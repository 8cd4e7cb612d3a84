/* log_pipe.h: the worker's end of the access log: one message for each request into the pipe to the
 * writer.
 *
 * Formats a line and sends it with one system call that never waits; a line that does not fit the
 * pipe is counted, and the next message has that number. Decides nothing about requests. Does
 * nothing without a manager, or in a pool without `access.log`. Thread-safe.
 */
#ifndef OT_LOG_PIPE_H
#define OT_LOG_PIPE_H

#include "sapi-shim/access_log/log_format.h"
#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stdint.h>

/* Takes over the contract's descriptor. `board` is NULL if the scoreboard cannot be used; it and
 * `own`, the slot of this process, must stay mapped. NULL for `own`: another process has the
 * slot, and there is no access log here. Called when the process attaches. */
void log_pipe_attach(const struct ot_board *board, struct ot_slot *own, unsigned slot);

/* Is there an access log? */
bool log_pipe_active(void);

/* enum log_format_need of the format. */
unsigned log_pipe_needs(void);

/* Sends the line of a request; `thread` and `number` are the record's number and its count of
 * requests, 0 for a request that is not counted there. Fills in pool and processes. False if the
 * line is lost. */
bool log_pipe_write(unsigned thread, uint64_t number, struct log_format_input *input);

/* In a forked child: turns the access log off. */
void log_pipe_after_fork(void);

#endif
