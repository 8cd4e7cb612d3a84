/* graceful_stop.h: when and how a worker learns that it should take no more requests.
 *
 * SIGTERM, SIGQUIT and SIGUSR1 (the last as libfcgi has it) mean: finish what was accepted, then
 * leave. The threads that accept keep these signals blocked except while they wait, so that no
 * system call of the application is cut short by one. Decides nothing about connections: wait_set.c
 * asks. SIGURG only ends a wait, for the manager that suspects a lost wake-up.
 */
#ifndef OT_GRACEFUL_STOP_H
#define OT_GRACEFUL_STOP_H

#include "sapi-shim/contract.h"

#include <signal.h>
#include <stdbool.h>

/* Once per thread that accepts, before its first wait; installs the handlers once per process.
 * Handlers that the application had installed before still run. */
void graceful_stop_start(void);

/* A signal that must not end a wait; before the first graceful_stop_start. 0 = none. */
void graceful_stop_block(int signal);

/* A reason to take no more requests has come up: a signal, or graceful_stop_begin. */
bool graceful_stop_requested(void);

/* The same, but by a signal: a wake-up meant for this worker may have been lost with it. */
bool graceful_stop_by_signal(void);

/* Begins to drain, and says why on the scoreboard. Thread-safe and async-signal-safe. */
void graceful_stop_begin(enum ot_exit_reason reason);

/* Takes signals that have come since the last wait: under full load no wait ever lasts, and the
 * kernel hands out events before signals. */
void graceful_stop_poll(void);

/* An eventfd that is readable from the beginning of the drain on; -1 if there is none. */
int graceful_stop_fd(void);

/* The signal mask for the time of a wait. */
const sigset_t *graceful_stop_wait_mask(void);

/* In a forked child: gives back the handlers and the signal mask that were there before, and
 * forgets the drain. */
void graceful_stop_after_fork(void);

#endif
