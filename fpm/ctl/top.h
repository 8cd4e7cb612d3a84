/* top.h: `overtimectl top`: pools and workers, live on a terminal, or once as text.
 *
 * Asks the manager for its status and its workers, one call each, and lets go of it until the next
 * look.
 */
#ifndef FPM_TOP_H
#define FPM_TOP_H

#include "fpm/ctl/options.h"

/* For the verb's help. */
extern const char top_more[];

/* Returns an exit status, and has said why on standard error. */
int top_run(const struct options *call);

/* Milliseconds of --interval, `otherwise` if it was not given; -1: it makes no sense, said on
 * standard error. */
long top_interval(const struct options *call, long otherwise);

#endif
