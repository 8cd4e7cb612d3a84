/* upgrade_probe.h: asks another program, as a child, whether it could take this one's place.
 *
 * Runs it, gives it the paper with what would be handed over, and waits for its word, but not for
 * long. The loop goes on meanwhile. Changes nothing. Called by upgrade.
 */
#ifndef FPM_UPGRADE_PROBE_H
#define FPM_UPGRADE_PROBE_H

#include "fpm/util/child.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    UPGRADE_PROBE_LIMIT = 5000 /* ms that the program has */
};

/* What the program says in a line when it could, with its version in between. */
#define UPGRADE_PROBE_YES_BEFORE "overtime "
#define UPGRADE_PROBE_YES_BEHIND " can take over"

struct upgrade_probe {
    struct ev_loop *loop;
    struct child child; /* pid 0: none is on */
    const char *program;
    int fd; /* what it says, -1 = none */
    ev_io io;
    ev_timer limit;
    bool late;
    char said[4096];
    size_t used;
    /* It is over: `version` of a program that could, or NULL and `why` not. */
    void (*ended)(struct upgrade_probe *trial, const char *version, const char *why);
    void *owner;
};

void upgrade_probe_init(struct upgrade_probe *trial, struct ev_loop *loop,
                        void (*ended)(struct upgrade_probe *trial, const char *version,
                                      const char *why),
                        void *owner);

/* Starts it. `program` is kept until the end; `paper_fd` stays open in it under the same number.
 * Returns 0, or -1 with a sentence. */
int upgrade_probe_start(struct upgrade_probe *trial, const char *program, char *const *argv,
                        int paper_fd, char *error, size_t size);

bool upgrade_probe_is_on(const struct upgrade_probe *trial);

/* Ends it without a word. */
void upgrade_probe_stop(struct upgrade_probe *trial);

#endif
