/* signals.h: which signal does what: a table handed over, and its watchers.
 *
 * Decides nothing. Actions run from the loop, never inside a signal handler. Called by master.
 */
#ifndef FPM_SIGNALS_H
#define FPM_SIGNALS_H

#include <ev.h>
#include <stddef.h>

struct signals_row {
    int number;
    void (*action)(void *context, int number); /* NULL: ignored */
};

enum {
    SIGNALS_MAX = 16
};

struct signals {
    struct ev_loop *loop;
    void *context;
    size_t count;
    struct {
        ev_signal watcher;
        void (*action)(void *context, int number);
    } rows[SIGNALS_MAX];
};

/* Watches every row of the table; they do not keep the loop alive. At most SIGNALS_MAX rows with an
 * action. */
void signals_start(struct signals *signals, struct ev_loop *loop, const struct signals_row *table,
                   size_t count, void *context);
/* Stops watching; the signals stay blocked, for the process is about to end. */
void signals_stop(struct signals *signals);

#endif
