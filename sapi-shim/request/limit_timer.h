/* limit_timer.h: what the thread's timer does for a request whose application is silent.
 *
 * Looks at its limits and its client without a safe point. It tells by flags, which the next safe
 * point acts upon, and ends the worker when the hard limit is reached; it never runs anything of
 * the application. Runs in a signal handler: everything here is async-signal-safe. Handed to
 * timer.h by process_hooks.c.
 */
#ifndef OT_LIMIT_TIMER_H
#define OT_LIMIT_TIMER_H

#include <stdint.h>

/* Returns when to look again, 0 = not for this request. */
uint64_t limit_timer_request(uint64_t now);

#endif
