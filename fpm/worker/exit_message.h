/* exit_message.h: one line of the log about a worker: what it did and how it ended.
 *
 * Pure.
 */
#ifndef FPM_EXIT_MESSAGE_H
#define FPM_EXIT_MESSAGE_H

#include "fpm/log/log.h"
#include "sapi-shim/scoreboard/slot_view.h"

#include <stdint.h>
#include <sys/types.h>

enum {
    EXIT_MESSAGE_MAX = 4096,
    EXIT_MESSAGE_STATUS_MAX = 64,
    EXIT_MESSAGE_LAST_ERROR = 1024 /* bytes of the last line, escaped */
};

struct exit_message {
    const char *pool;
    pid_t pid;
    unsigned slot;
    int status;          /* of wait(2) */
    int64_t uptime;      /* ms */
    bool stop_requested; /* by the manager */
    bool expected;       /* exit_cause_is_expected */
    const char *reason;  /* exit_cause_text; NULL = not known */
    /* The last line that it wrote to standard error, any bytes; "" or NULL = none. Told of a worker
     * that ended by itself before it attached or had ended its first request. */
    const char *last_error;
    const struct slot_view *view;
};

/* "while running GET /report, 2.5 s old, "page 3"", or "in unknown state". `now`: ns, clock.h. */
void exit_message_doing(const struct slot_view *view, int64_t now, char *text, size_t size);

/* A status of wait(2) as "exited with status 1" or "died of SIGSEGV (core dumped)". */
void exit_message_status(int status, char *text, size_t size);

/* Writes the whole line. Returns its level. */
enum log_level exit_message_compose(const struct exit_message *message, int64_t now, char *text,
                                    size_t size);

#endif
