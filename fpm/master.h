/* master.h: the composition: pools, signals, control socket and the loop they share.
 *
 * Holds the manager's state (starting, running, stopping) and hands each part its table. Called by
 * main.
 */
#ifndef FPM_MASTER_H
#define FPM_MASTER_H

#include "fpm/config/config.h"
#include "fpm/upgrade/upgrade.h"

/* What main wants to do at the turns of the manager's life. */
struct master_hooks {
    /* Every first worker runs, or at least it is known which could not be started. Returns 0, or -1
     * with a sentence to give the start up. */
    int (*up)(void *context, char *error, size_t size);
    /* The log says how the start went. */
    void (*told)(void *context);
    /* All workers are gone, sockets too. */
    void (*down)(void *context);
    /* For an upgrade: fills in main's part of the state. */
    void (*save)(void *context, struct upgrade_manager *manager);
    unsigned flags; /* enum config_flag, for a reload */
    void *context;
    struct upgrade_program program;
    struct upgrade_saved *saved; /* by the program before an upgrade; NULL = this is a start */
};

/* Runs until stopped. Returns an exit status: 0, 70 or 78; what went wrong is in the log. */
int master_run(struct config *config, const struct master_hooks *hooks);

#endif
