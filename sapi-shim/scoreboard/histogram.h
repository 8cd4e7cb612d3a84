/* histogram.h: histograms of durations, and the counts they travel with; pure.
 *
 * The buckets' bounds grow as 1, 2, 5 from 0.1 ms to 2,000 s. Costs some nanoseconds and no system
 * call. Called by request.c for its own record, and by whoever adds up what records say.
 */
#ifndef OT_HISTOGRAM_H
#define OT_HISTOGRAM_H

#include "sapi-shim/contract.h"

/* Upper bounds of all buckets but the last, inclusive, in ns. */
extern const uint64_t histogram_bounds[OT_BUCKETS - 1];

/* Adds a duration in ns. */
void histogram_add(struct ot_histogram *histogram, uint64_t duration);

/* How long ago, in ns, the moment was that a web server gives in seconds with or without fractions
 * ("1700000000.123", nginx's $msec), or in microseconds behind "t=" (Apache's %t); 0 if it is none,
 * to come, or more than an hour ago. `now` is CLOCK_REALTIME in ns. */
uint64_t histogram_since(const char *moment, uint64_t now);

/* Durations in all buckets. */
uint64_t histogram_count(const struct ot_histogram *histogram);

/* Adds what one record counts, or what was added up before. */
void histogram_add_record(struct ot_counts *counts, const struct ot_record *record);
void histogram_add_counts(struct ot_counts *counts, const struct ot_counts *more);

#endif
