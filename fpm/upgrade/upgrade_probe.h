/* upgrade_probe.h: asks another program, as a child process, whether it can continue from this
 * manager's saved state.
 *
 * It changes nothing, and the event loop goes on meanwhile.
 */
#ifndef FPM_UPGRADE_PROBE_H
#define FPM_UPGRADE_PROBE_H

#include "fpm/worker/helper_process.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    UPGRADE_PROBE_LIMIT_MS = 5000 /* how long the program may run */
};

/* A program that can continue says so in its last line, with its version in between. */
#define UPGRADE_PROBE_YES_BEFORE "overtime "
#define UPGRADE_PROBE_YES_AFTER  " can take over"

struct upgrade_probe {
    struct helper_process helper;
    const char *program;
    /* The probe is over: `version` of a program that can continue, or NULL and `why` not. */
    void (*ended)(struct upgrade_probe *probe, const char *version, const char *why);
    void *owner;
};

void upgrade_probe_init(struct upgrade_probe *probe, struct ev_loop *loop,
                        void (*ended)(struct upgrade_probe *probe, const char *version,
                                      const char *why),
                        void *owner);

/* Starts `program`, which is borrowed until the end; `state_fd` stays open in it under its number.
 * Returns 0, or -1 with a sentence. */
int upgrade_probe_start(struct upgrade_probe *probe, const char *program, char *const *argv,
                        int state_fd, char *error, size_t size);

bool upgrade_probe_runs(const struct upgrade_probe *probe);

/* Ends it; `ended` is not called. */
void upgrade_probe_stop(struct upgrade_probe *probe);

#endif
