/* log_pipe.h: the worker's end of the access log: one message for each request into the pipe that
 * the manager handed over.
 *
 * Formats a line and sends it with one system call that never waits; what finds no room is counted
 * and told with the next message. Decides nothing about requests: log_entry.c does. With no
 * manager, or a pool without `access.log`, there is none and nothing is done. Thread-safe.
 */
#ifndef OT_LOG_PIPE_H
#define OT_LOG_PIPE_H

#include "sapi-shim/access_log/log_format.h"
#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stdint.h>

/* Takes over the contract's descriptor. `board` is NULL if the manager's could not be used; it and
 * `own`, the slot of that number, stay mapped. Before main(). */
void log_pipe_attach(const struct ot_board *board, struct ot_slot *own, unsigned slot);

/* Is there an access log? */
bool log_pipe_active(void);

/* What the format asks for: enum log_format_need. */
unsigned log_pipe_needs(void);

/* Sends the line of a request; `thread` and `number` are the record's number and its count of
 * requests, 0 for a request that is not counted there. Fills in who we are. False if the line found
 * no room. */
bool log_pipe_write(unsigned thread, uint64_t number, struct log_format_input *input);

/* In a forked child: the parent's requests are not ours. */
void log_pipe_after_fork(void);

#endif
