/* quantile.h: how long requests took, from a histogram of how many took how long; pure.
 *
 * For the histograms of the status.
 */
#ifndef FPM_QUANTILE_H
#define FPM_QUANTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUANTILE_BUCKETS_MAX = 64
};

/* Durations of at most bounds[i] ms, and more than bounds[i - 1], are in buckets[i]; bounds rise.
 * There is one bucket more than bounds: what is above all of them. */
struct quantile_histogram {
    size_t bounds_count; /* 0 = there is no histogram */
    double bounds[QUANTILE_BUCKETS_MAX];
    int64_t buckets[QUANTILE_BUCKETS_MAX + 1];
};

/* Milliseconds that `share` (0 to 1) of all durations do not exceed, linear within a bucket. What
 * is above all bounds counts as the highest of them. Negative: nothing was counted. */
double quantile_of(const struct quantile_histogram *histogram, double share);

/* What was counted between two samples. Counters that fell (the manager is another one) or bounds
 * that changed make it false, and *out is empty. */
bool quantile_between(const struct quantile_histogram *before,
                      const struct quantile_histogram *after, struct quantile_histogram *out);

#endif
