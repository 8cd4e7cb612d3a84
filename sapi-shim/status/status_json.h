/* status_json.h: the status as JSON, for programs.
 *
 * The objects of pools and workers are the same for `overtimectl --json` and for the page. Strings
 * are escaped here. Decides nothing.
 */
#ifndef OT_STATUS_JSON_H
#define OT_STATUS_JSON_H

#include "sapi-shim/status/status.h"

#include <stdio.h>

void status_json_pool(FILE *out, const struct status_pool *pool);

/* With an array of its threads. */
void status_json_worker(FILE *out, const char *pool, const struct status_worker *worker);

/* The response to `?json`: PHP-FPM's fields, followed by the objects above. */
void status_json(FILE *out, const struct status_report *report);

#endif
