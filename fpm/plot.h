/* plot.h: `overtimectl plot`: a recording drawn as SVG, for a report or an incident page.
 *
 * Reads what record.c wrote; asks no manager. Called by overtimectl.
 */
#ifndef FPM_PLOT_H
#define FPM_PLOT_H

#include "fpm/ctl_call.h"

/* For the verb's help. */
extern const char plot_more[];

/* Returns an exit status, and has said why on standard error. */
int plot_run(const struct ctl_call *call);

#endif
