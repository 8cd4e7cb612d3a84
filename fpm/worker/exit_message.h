/* exit_message.h: one line about a worker: what it did, how it ended.
 *
 * Pure: facts in, words out. Called by pool.
 */
#ifndef FPM_EXIT_MESSAGE_H
#define FPM_EXIT_MESSAGE_H

#include "fpm/log/log.h"
#include "sapi-shim/scoreboard/slot_view.h"

#include <stdint.h>
#include <sys/types.h>

enum {
    EXIT_MESSAGE_MAX = 4096,
    EXIT_MESSAGE_STATUS_MAX = 64
};

struct exit_message {
    const char *pool;
    pid_t pid;
    unsigned slot;
    int status;         /* of wait(2) */
    int64_t uptime;     /* ms */
    bool asked;         /* the manager had told it to go */
    bool expected;      /* or it had its share, and left */
    const char *reason; /* for which it ended; NULL = not known */
    const struct slot_view *view;
};

/* "while running GET /report, 2.5 s old, "page 3"", or "in unknown state". `now`: ns, clock.h. */
void exit_message_doing(const struct slot_view *view, int64_t now, char *text, size_t size);

/* A status of wait(2), not -1, as "exited with status 1" or "died of SIGSEGV (core dumped)". */
void exit_message_status(int status, char *text, size_t size);

/* The whole line. Returns the level it deserves. */
enum log_level exit_message_compose(const struct exit_message *exit_message, int64_t now,
                                    char *text, size_t size);

#endif
