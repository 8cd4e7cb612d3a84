/* signals.c: see signals.h. */
#include "fpm/signals.h"

#include <signal.h>

static void signals_on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    struct signals *signals = watcher->data;
    for (size_t i = 0; i < signals->count; i++)
        if (&signals->rows[i].watcher == watcher)
            signals->rows[i].action(signals->context, watcher->signum);
}

void signals_start(struct signals *signals, struct ev_loop *loop, const struct signals_row *table,
                   size_t count, void *context)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t none;
    signals->loop = loop;
    signals->context = context;
    signals->count = 0;
    sigemptyset(&ignore.sa_mask);
    for (size_t i = 0; i < count; i++) {
        if (table[i].action == NULL) {
            (void)sigaction(table[i].number, &ignore, NULL);
        } else if (signals->count < SIGNALS_MAX) {
            ev_signal *watcher = &signals->rows[signals->count].watcher;
            signals->rows[signals->count++].action = table[i].action;
            ev_signal_init(watcher, signals_on_signal, table[i].number);
            watcher->data = signals;
            ev_signal_start(loop, watcher);
            ev_unref(loop);
        }
    }
    /* The process that started the manager may have blocked some. */
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void signals_stop(struct signals *signals)
{
    sigset_t ours;
    sigemptyset(&ours);
    for (size_t i = 0; i < signals->count; i++)
        sigaddset(&ours, signals->rows[i].watcher.signum);
    /* A second TERM during the shutdown must not meet the default action. */
    (void)sigprocmask(SIG_BLOCK, &ours, NULL);
    for (size_t i = 0; i < signals->count; i++) {
        ev_ref(signals->loop);
        ev_signal_stop(signals->loop, &signals->rows[i].watcher);
    }
    signals->count = 0;
}
