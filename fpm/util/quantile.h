/* quantile.h: quantiles of durations, from histograms; pure.
 *
 * A histogram tells in which bucket a duration lies, and no more: a quantile is the upper bound of
 * its bucket, and is shown as "within" that bound.
 */
#ifndef FPM_QUANTILE_H
#define FPM_QUANTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUANTILE_BUCKETS_MAX = 64
};

/* The bucket in which the `percent`th (1 to 100) of a hundred durations lies; `count` if all
 * buckets are empty. */
size_t quantile_bucket(const uint64_t *buckets, size_t count, unsigned percent);

/* buckets[i] counts durations of at most bounds[i] ms and more than bounds[i - 1]; bounds rise.
 * There is one bucket more than bounds, for longer durations. */
struct quantile_histogram {
    size_t bounds_count; /* 0 = there is no histogram */
    double bounds[QUANTILE_BUCKETS_MAX];
    uint64_t buckets[QUANTILE_BUCKETS_MAX + 1];
};

/* Milliseconds within which `percent` of a hundred durations were: a bound, or infinity above all
 * bounds. Negative: the histogram is empty. */
double quantile_of(const struct quantile_histogram *histogram, unsigned percent);

/* The difference of two samples. False, and *out empty, if counters fell (another manager) or the
 * bounds changed. */
bool quantile_between(const struct quantile_histogram *before,
                      const struct quantile_histogram *after, struct quantile_histogram *out);

#endif
