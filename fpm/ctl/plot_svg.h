/* plot_svg.h: draws series of points as one self-contained SVG: no script, no outside request.
 *
 * Decides the looks alone. Called by plot.c.
 */
#ifndef FPM_PLOT_SVG_H
#define FPM_PLOT_SVG_H

#include "fpm/ctl/plot_data.h"

#include <stdio.h>

void plot_svg(FILE *out, const struct plot_data *data);

#endif
