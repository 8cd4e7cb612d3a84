/* graceful_stop.h: when and how a worker learns that it must take no more requests.
 *
 * SIGTERM, SIGQUIT and SIGUSR1 (the last as in libfcgi) mean: finish what was accepted, then exit.
 * SIGURG only ends a wait; the manager sends it when it suspects a lost wake-up. Threads that
 * accept keep these signals blocked except while they wait, so that none interrupts a system call
 * of the application. Decides nothing about connections.
 */
#ifndef OT_GRACEFUL_STOP_H
#define OT_GRACEFUL_STOP_H

#include "sapi-shim/contract.h"

#include <signal.h>
#include <stdbool.h>

/* Once per thread that accepts, before its first wait. The first call installs the handlers; those
 * that the application had installed before still run. */
void graceful_stop_start(void);

/* Keeps this signal blocked during waits too. Before the first graceful_stop_start. */
void graceful_stop_block(int signal);

/* The worker must take no more requests: after a signal, or graceful_stop_begin. */
bool graceful_stop_requested(void);

/* The same, after a signal: with it, a wake-up meant for this worker may have been lost. */
bool graceful_stop_by_signal(void);

/* Starts the stop and writes the reason into the scoreboard. Thread-safe and async-signal-safe. */
void graceful_stop_begin(enum ot_exit_reason reason);

/* Lets signals in that have come since the last wait: under full load no wait sleeps, and the
 * kernel reports events before signals. */
void graceful_stop_poll(void);

/* Starts the stop if the manager has asked for it and its signal was lost: while system(3) runs,
 * SIGQUIT is ignored. */
void graceful_stop_look(void);

/* An eventfd, readable from the start of the stop on; -1 if there is none. */
int graceful_stop_fd(void);

/* The calling thread's signal mask during a wait. */
const sigset_t *graceful_stop_wait_mask(void);

/* In a forked child: restores the handlers and the signal mask, and forgets the stop. */
void graceful_stop_after_fork(void);

#endif
