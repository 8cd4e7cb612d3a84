/* verbs.h: what the commands of the control socket do.
 *
 * Reads pools and configuration, and asks its owner, by the functions handed over, for what only
 * the owner can do. Called by control through the table.
 */
#ifndef FPM_VERBS_H
#define FPM_VERBS_H

#include "fpm/conf.h"
#include "fpm/control.h"
#include "fpm/pools.h"

/* The context of every command. */
struct verbs {
    const struct conf *conf;
    const struct pools *pools;
    const char *(*state)(void *owner); /* "starting", "running", "stopping" */
    void (*stop)(void *owner, enum pool_stop how, const char *why);
    /* `all` as reload_plan has it. Returns 0 with what was done in `out`, or -1 with a sentence, a
     * line for each error. */
    int (*reload)(void *owner, const char *why, const char *all, FILE *out, char *error,
                  size_t size);
    /* Has the ticket's client answered when the last reload has come to its end. */
    void (*wait)(void *owner, unsigned ticket);
    /* Returns 0, or -1 with a sentence about one that failed; it goes on where it was. */
    int (*reopen_logs)(void *owner, const char *why, char *error, size_t size);
    /* Begins an upgrade; the ticket's client is answered when it has come to its end, with `wait`
     * when the reload that is part of it has. Returns 0, or -1 with a sentence. */
    int (*upgrade)(void *owner, const char *why, unsigned ticket, bool wait, char *error,
                   size_t size);
    /* Answers a call that was put off, with more text, or with `why` not. */
    void (*answer)(void *owner, unsigned ticket, const char *text, const char *why);
    void *owner;
};

/* Ends with a NULL verb. */
extern const struct control_command verbs_table[];

#endif
