/* master.h: puts the manager together: pools, signals, control socket and the loop they share.
 *
 * Holds the manager's state (starting, running, reloading, stopping) and gives each part its table
 * of callbacks.
 */
#ifndef FPM_MASTER_H
#define FPM_MASTER_H

#include "fpm/config/config.h"
#include "fpm/upgrade/upgrade.h"

/* What main does at points of the manager's life. */
struct master_hooks {
    /* All first workers run, or it is known which could not be started. Returns 0, or -1 with a
     * sentence to give up the start. */
    int (*up)(void *context, char *error, size_t size);
    /* The log says how the start went. */
    void (*announced)(void *context);
    /* All workers have ended, and the sockets are closed. */
    void (*down)(void *context);
    /* For an upgrade: fills in main's part of the state. */
    void (*save)(void *context, struct upgrade_manager *manager);
    /* `announced` waits until some pool serves, and a start after which none does has failed: in
     * the background, where only the process that started the manager would learn of it. */
    bool must_serve;
    bool take_over; /* sockets of workers whose manager was killed */
    unsigned flags; /* enum config_flag, for a reload */
    void *context;
    struct upgrade_program program;
    struct upgrade_saved *saved; /* the state before an upgrade; NULL = this is a start */
};

/* Runs until stopped. Returns an exit status: 0, 70 or 78; what went wrong is in the log. */
int master_run(struct config *config, const struct master_hooks *hooks);

#endif
