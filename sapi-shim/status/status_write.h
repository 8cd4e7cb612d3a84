/* status_write.h: the status as text, as JSON and as XML.
 *
 * Each begins with the fields of PHP-FPM's status page, by its names and in its units, for its
 * exporters and dashboards; our own fields follow. The JSON objects of pools and workers are the
 * same for `overtimectl --json` and for the page. Strings are escaped here. Decides nothing.
 */
#ifndef OT_STATUS_WRITE_H
#define OT_STATUS_WRITE_H

#include "sapi-shim/status/status.h"

#include <stdio.h>

/* The responses to a request without a format, to `?json`, and to `?xml`. */
void status_write_text(FILE *out, const struct status_report *report);
void status_write_json(FILE *out, const struct status_report *report);
void status_write_xml(FILE *out, const struct status_report *report);

/* Our own objects; that of a worker has an array of its threads. */
void status_write_json_pool(FILE *out, const struct status_pool *pool);
void status_write_json_worker(FILE *out, const char *pool, const struct status_worker *worker);

#endif
