/* histogram.c: see histogram.h. */
#include "sapi-shim/scoreboard/histogram.h"

#include "sapi-shim/util/clock.h"

#include <stdbool.h>

#define HISTOGRAM_OLDEST 3600000000000ull /* an hour */

#define DECADE(ns) (ns), 2 * (ns), 5 * (ns)

const uint64_t histogram_bounds[OT_BUCKETS - 1] = {
    DECADE(100000ull),       DECADE(1000000ull),    DECADE(10000000ull),
    DECADE(100000000ull),    DECADE(1000000000ull), DECADE(10000000000ull),
    DECADE(100000000000ull), 1000000000000ull,      2000000000000ull,
};

void histogram_add(struct ot_histogram *histogram, uint64_t duration)
{
    unsigned bucket = 0;
    while (bucket < OT_BUCKETS - 1 && duration > histogram_bounds[bucket])
        bucket++;
    histogram->buckets[bucket]++;
    histogram->sum += duration;
}

uint64_t histogram_since(const char *moment, uint64_t now)
{
    bool microseconds = moment[0] == 't' && moment[1] == '=';
    const char *digit = moment + (microseconds ? 2 : 0);
    uint64_t ns = 0, unit = microseconds ? 1000 : CLOCK_NS_PER_S, number = 0;
    unsigned count = 0;
    for (; *digit >= '0' && *digit <= '9' && count < 17; digit++, count++)
        number = number * 10 + (uint64_t)(*digit - '0');
    if (count == 0 || number > INT64_MAX / unit)
        return 0;
    ns = number * unit;
    if (*digit == '.' && !microseconds)
        for (digit++; *digit >= '0' && *digit <= '9' && unit > 1; digit++) {
            unit /= 10;
            ns += unit * (uint64_t)(*digit - '0');
        }
    return *digit == '\0' && ns < now && now - ns <= HISTOGRAM_OLDEST ? now - ns : 0;
}

uint64_t histogram_count(const struct ot_histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < OT_BUCKETS; i++)
        count += histogram->buckets[i];
    return count;
}

static void histogram_histograms(struct ot_histogram *into, const struct ot_histogram *from)
{
    for (unsigned m = 0; m < OT_MEASURE_COUNT; m++) {
        into[m].sum += from[m].sum;
        for (unsigned i = 0; i < OT_BUCKETS; i++)
            into[m].buckets[i] += from[m].buckets[i];
    }
}

void histogram_add_record(struct ot_counts *counts, const struct ot_record *record)
{
    counts->requests += record->requests;
    counts->finished += record->finished;
    counts->aborted += record->aborted;
    counts->timed_out += record->timed_out;
    counts->dropped += record->dropped;
    counts->discarded += record->discarded;
    counts->shutdown_run += record->shutdown_run;
    counts->shutdown_late += record->shutdown_late;
    counts->shutdown_lost += record->shutdown_lost;
    histogram_histograms(counts->measures, record->measures);
}

void histogram_add_counts(struct ot_counts *counts, const struct ot_counts *more)
{
    counts->requests += more->requests;
    counts->finished += more->finished;
    counts->aborted += more->aborted;
    counts->timed_out += more->timed_out;
    counts->dropped += more->dropped;
    counts->discarded += more->discarded;
    counts->shutdown_run += more->shutdown_run;
    counts->shutdown_late += more->shutdown_late;
    counts->shutdown_lost += more->shutdown_lost;
    histogram_histograms(counts->measures, more->measures);
}
