/* test_histogram.c: durations find their buckets, and sums are right. */
#include "sapi-shim/scoreboard/histogram.h"

#include <criterion/criterion.h>
#include <string.h>

#define SECOND 1000000000ull

Test(measure, bounds_grow)
{
    for (unsigned i = 1; i < OT_BUCKETS - 1; i++)
        cr_expect(histogram_bounds[i] > histogram_bounds[i - 1]);
}

Test(measure, a_bound_belongs_to_its_bucket)
{
    for (unsigned i = 0; i < OT_BUCKETS - 1; i++) {
        struct ot_histogram histogram = {0};
        histogram_add(&histogram, histogram_bounds[i]);
        histogram_add(&histogram, histogram_bounds[i] + 1);
        cr_expect(histogram.buckets[i] == 1 && histogram.buckets[i + 1] == 1);
        cr_expect(histogram.sum == 2 * histogram_bounds[i] + 1 && histogram_count(&histogram) == 2);
    }
    struct ot_histogram edges = {0};
    histogram_add(&edges, 0);
    histogram_add(&edges, UINT64_MAX);
    cr_expect(edges.buckets[0] == 1 && edges.buckets[OT_BUCKETS - 1] == 1);
}

Test(measure, everything_is_added_up)
{
    struct ot_record record;
    struct ot_counts once = {0}, twice = {0};
    memset(&record, 0, sizeof record);
    record.requests = 1;
    record.finished = 2;
    record.aborted = 3;
    record.timed_out = 4;
    record.dropped = 5;
    record.discarded = 6;
    record.shutdown_run = 7;
    record.shutdown_late = 8;
    record.shutdown_lost = 9;
    record.refused_clients = 10;
    for (unsigned m = 0; m < OT_MEASURE_COUNT; m++)
        histogram_add(&record.measures[m], SECOND * (m + 1));
    histogram_add_record(&once, &record);
    histogram_add_counts(&twice, &once);
    histogram_add_counts(&twice, &once);
    cr_expect(once.requests == 1 && once.finished == 2 && once.shutdown_lost == 9 &&
              once.refused_clients == 10);
    const uint64_t *a = (const uint64_t *)&once, *b = (const uint64_t *)&twice;
    for (size_t i = 0; i < sizeof once / sizeof *a; i++)
        cr_expect(b[i] == 2 * a[i], "word %zu", i);
}

Test(measure, web_servers_say_when)
{
    uint64_t now = 1700000010 * SECOND;
    cr_expect(histogram_since("1700000000", now) == 10 * SECOND);
    cr_expect(histogram_since("1700000009.250", now) == SECOND * 3 / 4);
    cr_expect(histogram_since("t=1700000009000000", now) == SECOND);
    const char *const nonsense[] = {
        "",  "soon", "-5",    ".5",         "1700000009x",          "t=",
        "1", "1e9",  "1.5.2", "1700000011", "99999999999999999999", "1699996409"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
        cr_expect(histogram_since(nonsense[i], now) == 0, "%s", nonsense[i]);
}

/* A worker can write anything into its slot. */
Test(histogram, totals_stay_within_bounds)
{
    struct ot_counts counts;
    struct ot_record record;
    memset(&counts, 0, sizeof counts);
    memset(&record, 0xff, sizeof record);
    for (int i = 0; i < 3; i++)
        histogram_add_record(&counts, &record);
    for (int i = 0; i < OT_MEASURE_COUNT; i++) {
        cr_expect(histogram_count(&counts.measures[i]) < 1ull << 53);
        cr_expect(counts.measures[i].sum < INT64_MAX);
    }
    cr_expect(counts.requests < 1ull << 53 && counts.shutdown_lost < 1ull << 53);
    memset(&record, 0, sizeof record);
    record.requests = 1;
    memset(&counts, 0, sizeof counts);
    histogram_add_record(&counts, &record);
    cr_expect(counts.requests == 1 && counts.finished == 0);
}
