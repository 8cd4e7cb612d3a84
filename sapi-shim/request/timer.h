/* timer.h: one timer per thread that is set rarely and re-sets itself.
 *
 * A request that ends before its limits never touches the kernel: the timer of an earlier request
 * goes on, and when it fires the callback says what is due next, or that nothing is. Runs the
 * callback in a signal handler, with a real-time signal that nobody had taken; the same signal may
 * be used for other news to the thread (peer_watch.h). Decides nothing.
 */
#ifndef OT_TIMER_H
#define OT_TIMER_H

#include <stdint.h>

/* Called in a signal handler: only async-signal-safe calls, errno is saved. Gets the time (clock.h)
 * and returns the time of the next call, 0 = none. */
typedef uint64_t timer_callback(uint64_t now);

/* Once per process, before the first thread starts to serve. */
void timer_init(timer_callback *callback);

/* The signal, 0 if none could be had: limits then act at safe points only. */
int timer_signal(void);

/* Sees to it that the callback runs at this time or before. What the callback reads must have been
 * stored before. */
void timer_need(uint64_t at);

/* The calling thread ends. */
void timer_thread_end(void);

/* In a forked child: timers are not inherited. */
void timer_after_fork(void);

#endif
