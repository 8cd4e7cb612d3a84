/* plot.h: `overtimectl plot`: a recording drawn as SVG, for a report or an incident page.
 *
 * Reads what recorder.c wrote; asks no manager. Called by overtimectl.
 */
#ifndef FPM_PLOT_H
#define FPM_PLOT_H

#include "fpm/ctl/options.h"

/* For the verb's help. */
extern const char plot_more[];

/* Returns an exit status, and has said why on standard error. */
int plot_run(const struct options *call);

#endif
