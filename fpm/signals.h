/* signals.h: watches signals by a table that says what each does.
 *
 * Decides nothing. Actions run from the loop, never inside a signal handler.
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

/* Watches every row of the table; the watchers do not keep the loop alive. At most SIGNALS_MAX rows
 * may have an action. */
void signals_start(struct signals *signals, struct ev_loop *loop, const struct signals_row *table,
                   size_t count, void *context);
/* Stops watching; the signals stay blocked, because the process is about to end. */
void signals_stop(struct signals *signals);

#endif
