/* control_proto.h: the protocol of the control socket, between the manager and overtimectl.
 *
 * A client sends one line: CONTROL_HELLO, a verb, options, arguments, separated by single spaces;
 * at most CONTROL_LINE_MAX bytes with the newline. The manager answers with a line, "ok" or "error"
 * and a sentence, then a body (which may be empty; after "error", further sentences), and closes.
 * "reload --wait" and "upgrade" are answered when they are complete. After "stop" and "quit" the
 * connection stays open until the manager has ended: the client sees the end of file.
 */
#ifndef FPM_CONTROL_PROTO_H
#define FPM_CONTROL_PROTO_H

#define CONTROL_HELLO    "overtime/1"
#define CONTROL_OK       "ok"
#define CONTROL_ERROR    "error"
#define CONTROL_JSON     "--json"
#define CONTROL_WAIT     "--wait" /* with reload and upgrade */
#define CONTROL_ALL      "--all"  /* with reload */
#define CONTROL_LINE_MAX 4096

/* The default of control.listen. */
#define CONTROL_DEFAULT "/run/overtime/overtime.sock"

#define CONTROL_PING        "ping"
#define CONTROL_STATUS      "status"
#define CONTROL_WORKERS     "workers"
#define CONTROL_CONFIG      "config"
#define CONTROL_STOP        "stop"
#define CONTROL_QUIT        "quit"
#define CONTROL_REOPEN_LOGS "reopen-logs"
#define CONTROL_RELOAD      "reload"
#define CONTROL_UPGRADE     "upgrade"
#define CONTROL_TRACE       "trace"
#define CONTROL_TOP         "top"
#define CONTROL_REQUEST     "request"

/* "request POOL" is answered "MARK tcp HOST PORT" or "MARK unix PATH": where the pool listens, and
 * the tracking id for the FastCGI parameter CONTROL_MARK. Then "request POOL MARK" is answered by
 * one of these words. All but the last are followed by the worker's process number, ENDED and DIED
 * also by the time, CLOCK_MONOTONIC in ns. */
#define CONTROL_MARK         "OVERTIME_MARK"
#define CONTROL_MARK_RUNNING "running"
#define CONTROL_MARK_ENDED   "ended"
#define CONTROL_MARK_DIED    "died" /* the process ended in the request */
#define CONTROL_MARK_LOST    "lost" /* its thread left it to another thread */
#define CONTROL_MARK_UNSEEN  "unseen"

#endif
