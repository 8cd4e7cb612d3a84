/* hard_timeout.h: ends a worker whose application reaches no safe point within hard_timeout.
 *
 * Answers the request with 504, or ends the response that has begun, says in the log what is lost,
 * and exits with status 124. Runs in a signal handler that may have interrupted anything, malloc
 * included: everything here is async-signal-safe, uses static memory, and calls nothing of the
 * application.
 */
#ifndef OT_HARD_TIMEOUT_H
#define OT_HARD_TIMEOUT_H

#include "sapi-shim/request/request.h"

/* The response to a request that was ended before it wrote anything; also at a safe point.
 */
extern const char hard_timeout_page[];

/* `request` is the calling thread's own. */
void hard_timeout_exit(struct request *request) __attribute__((noreturn));

#endif
