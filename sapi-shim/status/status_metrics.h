/* status_metrics.h: the status as OpenMetrics, for Prometheus and others. Decides nothing. */
#ifndef OT_STATUS_METRICS_H
#define OT_STATUS_METRICS_H

#include "sapi-shim/status/status.h"

#include <stdio.h>

void status_metrics(FILE *out, const struct status_report *report);

#endif
