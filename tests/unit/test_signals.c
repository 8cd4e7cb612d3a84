/* test_signals.c: signals do what the table says, and nothing after it is closed. */
#include "fpm/signals.h"

#include <criterion/criterion.h>
#include <signal.h>

static int seen;

static void note_signal(void *context, int number)
{
    *(int *)context = number;
}

static const struct signals_row table[] = {
    {SIGTERM, note_signal},
    {SIGHUP, NULL},
};

Test(signals, rows_act_and_ignore)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct signals signals;
    signals_start(&signals, loop, table, 2, &seen);
    raise(SIGHUP);
    raise(SIGTERM);
    while (seen == 0)
        ev_run(loop, EVRUN_ONCE);
    cr_assert_eq(seen, SIGTERM);
    signals_stop(&signals);
    ev_loop_destroy(loop);
}

Test(signals, a_late_one_does_not_kill)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct signals signals;
    sigset_t pending;
    signals_start(&signals, loop, table, 2, &seen);
    signals_stop(&signals);
    ev_loop_destroy(loop);
    raise(SIGTERM);
    cr_assert_eq(sigpending(&pending), 0);
    cr_assert(sigismember(&pending, SIGTERM));
}
