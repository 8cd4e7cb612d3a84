/* commands.h: the commands of the control socket.
 *
 * Reads pools and configuration, and calls functions of its owner for everything that changes the
 * manager's state.
 */
#ifndef FPM_COMMANDS_H
#define FPM_COMMANDS_H

#include "fpm/config/config.h"
#include "fpm/control/control_server.h"
#include "fpm/manager/pool_set.h"

/* The context of every command. */
struct commands {
    const struct config *config;
    const struct pool_set *pools;
    const char *(*state)(void *owner); /* "starting", "running", "stopping" */
    void (*stop)(void *owner, enum pool_stop how, const char *why);
    /* `all` as in reload_plan_make. Returns 0 with a note a line in `out`, or -1 with a sentence, a
     * line for each error. */
    int (*reload)(void *owner, const char *why, const char *all, FILE *out, char *error,
                  size_t size);
    /* Answers the client of the ticket when the last reload is complete. */
    void (*wait)(void *owner, unsigned ticket);
    /* Returns 0, or -1 with a sentence about a log that cannot be opened, which stays as it is. */
    int (*reopen_logs)(void *owner, const char *why, char *error, size_t size);
    /* Begins an upgrade. The client of the ticket is answered when the upgrade is complete, with
     * `wait` when the reload that is part of it is. Returns 0, or -1 with a sentence. */
    int (*upgrade)(void *owner, const char *why, unsigned ticket, bool wait, char *error,
                   size_t size);
    /* Answers a call that set `later`, with more text, or refuses it with `why`. */
    void (*answer)(void *owner, unsigned ticket, const char *text, const char *why);
    void *owner;
};

/* Ends with a NULL verb. */
extern const struct control_server_command commands_table[];

#endif
