/* limit_timer.h: checks a request's limits and client while the application reaches no safe point.
 *
 * Runs in the handler of the thread's timer (timer.h), so everything here is async-signal-safe. It
 * sets flags on which the next safe point acts, and ends the worker when the hard limit is reached;
 * it calls nothing of the application.
 */
#ifndef OT_LIMIT_TIMER_H
#define OT_LIMIT_TIMER_H

#include <stdint.h>

/* Returns when to check again, 0 = not for this request. */
uint64_t limit_timer_check(uint64_t now);

#endif
