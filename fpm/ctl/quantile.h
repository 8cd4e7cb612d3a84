/* quantile.h: quantiles of durations, from a histogram of the status; pure. */
#ifndef FPM_QUANTILE_H
#define FPM_QUANTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUANTILE_BUCKETS_MAX = 64
};

/* buckets[i] counts durations of at most bounds[i] ms and more than bounds[i - 1]; bounds rise.
 * There is one bucket more than bounds, for longer durations. */
struct quantile_histogram {
    size_t bounds_count; /* 0 = there is no histogram */
    double bounds[QUANTILE_BUCKETS_MAX];
    int64_t buckets[QUANTILE_BUCKETS_MAX + 1];
};

/* Milliseconds that `share` (0 to 1) of all durations do not exceed, linear within a bucket.
 * Durations above all bounds count as the highest bound. Negative: the histogram is empty. */
double quantile_of(const struct quantile_histogram *histogram, double share);

/* The difference of two samples. False, and *out empty, if counters fell (another manager) or the
 * bounds changed. */
bool quantile_between(const struct quantile_histogram *before,
                      const struct quantile_histogram *after, struct quantile_histogram *out);

#endif
