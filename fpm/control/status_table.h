/* status_table.h: the status as aligned text for people at a terminal.
 *
 * Programs get JSON (status_write.h). Text from clients and applications is escaped here.
 */
#ifndef FPM_STATUS_TABLE_H
#define FPM_STATUS_TABLE_H

#include "sapi-shim/status/status.h"

#include <stdio.h>

/* The heading of the pools' table; what its abbreviations mean; one pool as a row of at most 100
 * columns. */
void status_table_pools_heading(FILE *out);
void status_table_pools_legend(FILE *out);
void status_table_pools_line(FILE *out, const struct status_pool *pool);

/* One pool as a block of text, all fields of it. */
void status_table_pool(FILE *out, const struct status_pool *pool);

/* The heading of the workers' table; one worker as a row, and a row for each of its threads where
 * it has more than one. */
void status_table_heading(FILE *out);
void status_table_worker(FILE *out, const char *pool, const struct status_worker *worker);

#endif
