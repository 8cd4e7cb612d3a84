/* trial.h: asks another program, as a child, whether it could take this one's place.
 *
 * Runs it, gives it the paper with what would be handed over, and waits for its word, but not for
 * long. The loop goes on meanwhile. Changes nothing. Called by upgrade.
 */
#ifndef FPM_TRIAL_H
#define FPM_TRIAL_H

#include "fpm/child.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    TRIAL_LIMIT = 5000 /* ms that the program has */
};

/* What the program says in a line when it could, with its version in between. */
#define TRIAL_YES_BEFORE "overtime "
#define TRIAL_YES_BEHIND " can take over"

struct trial {
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
    void (*ended)(struct trial *trial, const char *version, const char *why);
    void *owner;
};

void trial_init(struct trial *trial, struct ev_loop *loop,
                void (*ended)(struct trial *trial, const char *version, const char *why),
                void *owner);

/* Starts it. `program` is kept until the end; `paper_fd` stays open in it under the same number.
 * Returns 0, or -1 with a sentence. */
int trial_start(struct trial *trial, const char *program, char *const *argv, int paper_fd,
                char *error, size_t size);

bool trial_is_on(const struct trial *trial);

/* Ends it without a word. */
void trial_stop(struct trial *trial);

#endif
