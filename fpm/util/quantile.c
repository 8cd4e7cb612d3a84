/* quantile.c: see quantile.h. */
#include "fpm/util/quantile.h"

#include <math.h>
#include <string.h>

size_t quantile_bucket(const uint64_t *buckets, size_t count, unsigned percent)
{
    double total = 0, below = 0;
    for (size_t i = 0; i < count; i++)
        total += (double)buckets[i];
    if (total <= 0)
        return count;
    for (size_t i = 0; i < count; i++) {
        below += (double)buckets[i];
        if (buckets[i] > 0 && below * 100 >= total * percent)
            return i;
    }
    return count - 1;
}

double quantile_of(const struct quantile_histogram *histogram, unsigned percent)
{
    size_t count = histogram->bounds_count > 0 ? histogram->bounds_count + 1 : 0;
    size_t bucket = quantile_bucket(histogram->buckets, count, percent);
    if (bucket == count)
        return -1;
    return bucket < histogram->bounds_count ? histogram->bounds[bucket] : (double)INFINITY;
}

static bool quantile_alike(const struct quantile_histogram *a, const struct quantile_histogram *b)
{
    if (a->bounds_count != b->bounds_count)
        return false;
    for (size_t i = 0; i < a->bounds_count; i++)
        if (a->bounds[i] < b->bounds[i] || a->bounds[i] > b->bounds[i])
            return false;
    return true;
}

bool quantile_between(const struct quantile_histogram *before,
                      const struct quantile_histogram *after, struct quantile_histogram *out)
{
    bool sane = quantile_alike(before, after);
    *out = *after;
    for (size_t i = 0; sane && i <= after->bounds_count; i++) {
        sane = after->buckets[i] >= before->buckets[i];
        out->buckets[i] = after->buckets[i] - before->buckets[i];
    }
    if (!sane)
        memset(out, 0, sizeof *out);
    return sane;
}
