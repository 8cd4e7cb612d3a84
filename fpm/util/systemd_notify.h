/* systemd_notify.h: reports the manager's state to its service manager, as sd_notify(3) does.
 *
 * Sends one datagram to the socket that NOTIFY_SOCKET names, and never waits. The protocol is
 * documented and stable, so that no library is needed. Functions that return int return 0 if the
 * message was sent or no socket is named, else -1 with errno.
 */
#ifndef FPM_SYSTEMD_NOTIFY_H
#define FPM_SYSTEMD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Longer texts of a status are cut. */
#define SYSTEMD_NOTIFY_STATUS_MAX 512

/* Does NOTIFY_SOCKET name a socket? */
bool systemd_notify_wanted(void);

/* The start, or an announced reload, is complete. */
int systemd_notify_ready(void);

/* A reload begins, now. */
int systemd_notify_reloading(void);

int systemd_notify_stopping(void);

/* The status line that systemctl shows; control characters are escaped. */
int systemd_notify_status(const char *text);

/* How often systemd_notify_watchdog must be called: half of WATCHDOG_USEC, in milliseconds, at
 * least
 * 1. 0: no watchdog, or one for another process. */
int64_t systemd_notify_watchdog_interval(void);
int systemd_notify_watchdog(void);

#endif
