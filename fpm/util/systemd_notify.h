/* systemd_notify.h: tells whoever supervises the manager (systemd and its like) how it does.
 *
 * One datagram to the socket that NOTIFY_SOCKET names, as sd_notify(3) describes it. Nobody waits,
 * and nothing is kept: when to say what is up to the caller. The protocol is a line of text that is
 * documented to stay as it is, so no library is needed for it. Each answers 0 if it was sent or
 * nobody asked for it, else -1 with errno. Called by master.
 */
#ifndef FPM_SYSTEMD_NOTIFY_H
#define FPM_SYSTEMD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Longer texts of a status are cut. */
#define SYSTEMD_NOTIFY_STATUS_MAX 512

/* Is there somebody who listens? */
bool systemd_notify_wanted(void);

/* The start is decided, or a reload that was announced has come to its end, whichever. */
int systemd_notify_ready(void);

/* A reload begins, now. */
int systemd_notify_reloading(void);

int systemd_notify_stopping(void);

/* One line for people; bytes that are no text are escaped. */
int systemd_notify_status(const char *text);

/* How often systemd_notify_watchdog has to be called: half of what the supervisor allows, in
 * milliseconds, at least 1. 0: it watches nobody, or another process. */
int64_t systemd_notify_watchdog_interval(void);
int systemd_notify_watchdog(void);

#endif
