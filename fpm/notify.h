/* notify.h: tells whoever supervises the manager (systemd and its like) how it does.
 *
 * One datagram to the socket that NOTIFY_SOCKET names; nothing if there is none, and nobody waits
 * or fails for it. Called by master.
 */
#ifndef FPM_NOTIFY_H
#define FPM_NOTIFY_H

/* `state`: lines NAME=VALUE, such as "READY=1\nSTATUS=...". */
void notify(const char *state);

#endif
