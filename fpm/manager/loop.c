/* loop.c: see loop.h. */
#include "fpm/manager/loop.h"

#include <stddef.h>

static void loop_on_nothing(struct ev_loop *loop, ev_periodic *periodic, int events)
{
    (void)loop;
    (void)periodic;
    (void)events;
}

/* libev looks once a minute whether the clock was set, unless the kernel tells it; it begins to
 * listen to the kernel with the first watcher that follows the calendar. An idle manager then
 * sleeps on. */
static void loop_sleep_deeply(struct ev_loop *loop)
{
    ev_periodic calendar;
    ev_periodic_init(&calendar, loop_on_nothing, 0., 0., NULL);
    ev_periodic_start(loop, &calendar);
    ev_periodic_stop(loop, &calendar);
}

struct ev_loop *loop_new(void)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
    if (loop != NULL)
        loop_sleep_deeply(loop);
    return loop;
}
