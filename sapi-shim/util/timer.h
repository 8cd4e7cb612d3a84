/* timer.h: the timers of each thread, which never expire before a limit of the request that runs.
 *
 * Their signal interrupts system calls of the application, so a timer that an earlier request has
 * set must not be left behind. Where every request has the same limit, setting the timer for each
 * would cost a system call per request. Therefore it is set a little late, by the leeway, and stays
 * as it is for all requests whose limit falls into the leeway before it: one call per leeway under
 * load. The callback runs in a signal handler, on a real-time signal that the application does not
 * use; peer_watch.h has the kernel send the same signal. Decides nothing.
 */
#ifndef OT_TIMER_H
#define OT_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/* Runs in a signal handler: async-signal-safe calls only; errno is saved. Gets the time (clock.h)
 * and returns the time of the next call, 0 = none. */
typedef uint64_t timer_callback(uint64_t now);

/* Once per process, before the first thread starts to serve. */
void timer_init(timer_callback *callback);

/* The signal; 0 if none is free: limits then act at safe points only. */
int timer_signal(void);

/* True if a timer that is set to `due` (0 = not set) serves one who needs it at `at` (0 = never) or
 * up to `leeway` ns later. Pure. */
bool timer_suits(uint64_t due, uint64_t at, uint64_t leeway);

/* The calling thread's timer. The caller must have stored what the callback reads. timer_expect is
 * for limits that most requests have: the callback runs at `at` or up to `leeway` later, and the
 * timer stays set after the request. timer_set is exact, and holds until timer_release. `at` = 0:
 * the callback does not run. */
void timer_expect(uint64_t at, uint64_t leeway);
void timer_set(uint64_t at);

/* The callback runs when the thread has used processor time up to `at` (of its
 * CLOCK_THREAD_CPUTIME_ID), 0 = never: it never interrupts a sleep. Holds until timer_release. */
void timer_set_cpu(uint64_t at);

/* The request has ended: stops what timer_set and timer_set_cpu have set. */
void timer_release(void);

/* The application goes on without a request, and comes back for the next one. If it worked there
 * lately, or has not shown yet whether it does, the timer stops meanwhile; otherwise the two system
 * calls are saved. */
void timer_leave(void);
void timer_return(void);

/* Before a wait of `timeout_ms` (as poll() takes it): returns one that ends before the timer
 * expires, or stops the timer if that is soon. `now` may be clock_coarse_ns(). */
int timer_before_wait(int timeout_ms, uint64_t now);

/* The process or the calling thread ends: no signal comes any more. */
void timer_thread_end(void);

/* In a forked child: timers are not inherited. */
void timer_after_fork(void);

#endif
