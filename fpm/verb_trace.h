/* verb_trace.h: `overtimectl trace PID`: the stack of a worker of ours, and of nobody else.
 *
 * The answer comes later, when a helper has looked. Called by verbs.
 */
#ifndef FPM_VERB_TRACE_H
#define FPM_VERB_TRACE_H

#include "fpm/control.h"
#include "fpm/pools.h"

/* `answer` is called once with the ticket of the call and `owner`: more text, or why not. Returns
 * 0, or -1 with call->error. */
int verb_trace_run(const struct pools *pools,
                   void (*answer)(void *owner, unsigned ticket, const char *text, const char *why),
                   void *owner, struct control_call *call);

#endif
