/* histogram.c: see histogram.h. */
#include "sapi-shim/scoreboard/histogram.h"

#include "sapi-shim/util/clock.h"

#include <stdbool.h>

#define HISTOGRAM_MAX_AGE (3600 * (uint64_t)CLOCK_NS_PER_S)

#define HISTOGRAM_DECADE(ns) (ns), 2 * (ns), 5 * (ns)

const uint64_t histogram_bounds[OT_BUCKETS - 1] = {
    HISTOGRAM_DECADE(100000ull),
    HISTOGRAM_DECADE(1000000ull),
    HISTOGRAM_DECADE(10000000ull),
    HISTOGRAM_DECADE(100000000ull),
    1000000000ull,
    1500000000ull,
    2000000000ull,
    3000000000ull,
    4000000000ull,
    5000000000ull,
    6000000000ull,
    8000000000ull,
    HISTOGRAM_DECADE(10000000000ull),
    HISTOGRAM_DECADE(100000000000ull),
    1000000000000ull,
    2000000000000ull,
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
    return *digit == '\0' && ns < now && now - ns <= HISTOGRAM_MAX_AGE ? now - ns : 0;
}

uint64_t histogram_count(const struct ot_histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < OT_BUCKETS; i++)
        count += histogram->buckets[i];
    return count;
}

/* A worker can write any number into its slot: totals stay at a bound that every format and reader
 * takes, of which the sum over all buckets is exact, too. */
#define HISTOGRAM_COUNT_MAX (1ull << 48)
#define HISTOGRAM_SUM_MAX   (1ull << 62) /* ns */

static uint64_t histogram_bounded(uint64_t total, uint64_t more, uint64_t max)
{
    return more < max && total < max - more ? total + more : max;
}

static void histogram_add_all(struct ot_histogram *into, const struct ot_histogram *from)
{
    for (unsigned m = 0; m < OT_MEASURE_COUNT; m++) {
        into[m].sum = histogram_bounded(into[m].sum, from[m].sum, HISTOGRAM_SUM_MAX);
        for (unsigned i = 0; i < OT_BUCKETS; i++)
            into[m].buckets[i] =
                histogram_bounded(into[m].buckets[i], from[m].buckets[i], HISTOGRAM_COUNT_MAX);
    }
}

/* struct ot_record and struct ot_counts have the same counters. */
#define HISTOGRAM_BOUND(total, more) (total) = histogram_bounded(total, more, HISTOGRAM_COUNT_MAX)

#define HISTOGRAM_ADD_COUNTERS(counts, from)                                                       \
    do {                                                                                           \
        HISTOGRAM_BOUND((counts)->requests, (from)->requests);                                     \
        HISTOGRAM_BOUND((counts)->finished, (from)->finished);                                     \
        HISTOGRAM_BOUND((counts)->aborted, (from)->aborted);                                       \
        HISTOGRAM_BOUND((counts)->timed_out, (from)->timed_out);                                   \
        HISTOGRAM_BOUND((counts)->dropped, (from)->dropped);                                       \
        HISTOGRAM_BOUND((counts)->discarded, (from)->discarded);                                   \
        HISTOGRAM_BOUND((counts)->shutdown_run, (from)->shutdown_run);                             \
        HISTOGRAM_BOUND((counts)->shutdown_late, (from)->shutdown_late);                           \
        HISTOGRAM_BOUND((counts)->shutdown_lost, (from)->shutdown_lost);                           \
        HISTOGRAM_BOUND((counts)->refused_clients, (from)->refused_clients);                       \
        histogram_add_all((counts)->measures, (from)->measures);                                   \
    } while (0)

void histogram_add_record(struct ot_counts *counts, const struct ot_record *record)
{
    HISTOGRAM_ADD_COUNTERS(counts, record);
}

void histogram_add_counts(struct ot_counts *counts, const struct ot_counts *more)
{
    HISTOGRAM_ADD_COUNTERS(counts, more);
}
