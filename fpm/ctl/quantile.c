/* quantile.c: see quantile.h. */
#include "fpm/ctl/quantile.h"

#include <string.h>

double quantile_of(const struct quantile_histogram *histogram, double share)
{
    double total = 0, below = 0;
    size_t last = histogram->bounds_count;
    for (size_t i = 0; last > 0 && i <= last; i++)
        total += (double)histogram->buckets[i];
    if (last == 0 || total <= 0)
        return -1;
    double wanted = share * total;
    for (size_t i = 0; i < last; i++) {
        double here = (double)histogram->buckets[i];
        if (here > 0 && below + here >= wanted) {
            double low = i > 0 ? histogram->bounds[i - 1] : 0;
            double part = wanted > below ? (wanted - below) / here : 0;
            return low + (histogram->bounds[i] - low) * part;
        }
        below += here;
    }
    return histogram->bounds[last - 1];
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
        out->buckets[i] = after->buckets[i] - before->buckets[i];
        sane = out->buckets[i] >= 0;
    }
    if (!sane)
        memset(out, 0, sizeof *out);
    return sane;
}
