/* command_trace.h: `overtimectl trace PID`: the stack of a worker of ours, and of nobody else.
 *
 * The answer comes later, when a helper has looked. Called by commands.
 */
#ifndef FPM_COMMAND_TRACE_H
#define FPM_COMMAND_TRACE_H

#include "fpm/control/control_server.h"
#include "fpm/manager/pool_set.h"

/* `answer` is called once with the ticket of the call and `owner`: more text, or why not. Returns
 * 0, or -1 with call->error. */
int command_trace_run(const struct pool_set *pools,
                      void (*answer)(void *owner, unsigned ticket, const char *text,
                                     const char *why),
                      void *owner, struct control_server_call *call);

#endif
