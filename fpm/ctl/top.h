/* top.h: `overtimectl top`: pools and workers, live on a terminal, or once as text.
 *
 * Asks the manager for its status and its workers, one call each, and keeps no connection between
 * two readings.
 */
#ifndef FPM_TOP_H
#define FPM_TOP_H

#include "fpm/ctl/options.h"

/* For the verb's help. */
extern const char top_more[];

/* Returns an exit status, and has said why on standard error. */
int top_run(const struct options *call);

/* Milliseconds of --interval, `otherwise` if it was not given; -1 if it is not valid, with a
 * message on standard error. */
long top_interval(const struct options *call, long otherwise);

#endif
