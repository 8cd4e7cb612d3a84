/* histogram.h: histograms of durations, and sums of the counters of records; pure.
 *
 * The bounds of the buckets grow as 1, 2, 5 from 0.1 ms to 2,000 s, and in finer steps between 1
 * and 10 s, where time limits are. Costs some nanoseconds and no system call.
 */
#ifndef OT_HISTOGRAM_H
#define OT_HISTOGRAM_H

#include "sapi-shim/contract.h"

/* Upper bounds of all buckets but the last, inclusive, in ns. */
extern const uint64_t histogram_bounds[OT_BUCKETS - 1];

/* Adds a duration in ns. */
void histogram_add(struct ot_histogram *histogram, uint64_t duration);

/* Nanoseconds from a time that a web server gives until `now` (CLOCK_REALTIME in ns). The time is
 * in seconds with or without a fraction ("1700000000.123", nginx's $msec), or in microseconds after
 * "t=" (Apache's %t). 0 if it is malformed, in the future, or more than an hour ago. */
uint64_t histogram_since(const char *moment, uint64_t now);

/* The number of durations in all buckets. */
uint64_t histogram_count(const struct ot_histogram *histogram);

/* Adds the counters of one record, or a sum of such counters. */
void histogram_add_record(struct ot_counts *counts, const struct ot_record *record);
void histogram_add_counts(struct ot_counts *counts, const struct ot_counts *more);

#endif
