/* loop.h: the event loop of the manager: made so that it sleeps when there is nothing to do.
 *
 * One of our own: the default one of libev would reap children that others have to learn of. Called
 * by master.
 */
#ifndef FPM_LOOP_H
#define FPM_LOOP_H

#include <ev.h>

/* NULL if it cannot be had; to be ended by ev_loop_destroy. */
struct ev_loop *loop_new(void);

#endif
