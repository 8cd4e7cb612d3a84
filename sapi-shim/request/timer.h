/* timer.h: one timer per thread, which is set rarely and sets itself again.
 *
 * A request that ends before its limits makes no system call: the timer of an earlier request keeps
 * running, and when it expires the callback says when it is needed next, or that it is not. The
 * callback runs in a signal handler, on a real-time signal that the application does not use;
 * peer_watch.h has the kernel send the same signal. Decides nothing.
 */
#ifndef OT_TIMER_H
#define OT_TIMER_H

#include <stdint.h>

/* Runs in a signal handler: async-signal-safe calls only; errno is saved. Gets the time (clock.h)
 * and returns the time of the next call, 0 = none. */
typedef uint64_t timer_callback(uint64_t now);

/* Once per process, before the first thread starts to serve. */
void timer_init(timer_callback *callback);

/* The signal; 0 if none is free: limits then act at safe points only. */
int timer_signal(void);

/* Makes the callback run at this time or earlier. The caller must have stored what the callback
 * reads. */
void timer_need(uint64_t at);

/* The calling thread ends. */
void timer_thread_end(void);

/* In a forked child: timers are not inherited. */
void timer_after_fork(void);

#endif
