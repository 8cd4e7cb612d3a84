/* test_scaling.c: how many workers are started and retired: case by case, and over time. */
#include "fpm/pool/scaling.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    NOW = 1000,
    TIMEOUT = 10000,
    RATE = 32
};

#define STATIC(max)                                                                                \
    {                                                                                              \
        .kind = SCALING_STATIC, .max_children = (max), .max_spawn_rate = RATE, .post_max = 2,      \
        .idle_timeout = TIMEOUT                                                                    \
    }
#define ONDEMAND(max)                                                                              \
    {                                                                                              \
        .kind = SCALING_ONDEMAND, .max_children = (max), .max_spawn_rate = RATE, .post_max = 2,    \
        .idle_timeout = TIMEOUT                                                                    \
    }
#define DYNAMIC(max, least, most)                                                                  \
    {                                                                                              \
        .kind = SCALING_DYNAMIC, .max_children = (max), .min_spare = (least), .max_spare = (most), \
        .max_spawn_rate = RATE, .post_max = 2, .idle_timeout = TIMEOUT                             \
    }
#define MANY .free_slots = UINT_MAX

struct scale_case {
    const char *name;
    struct scaling_limits limits;
    struct scaling_counts counts;
    struct scaling_verdict expected; /* `at_rest` follows from `again` */
};

static const struct scale_case cases[] = {
    /* static */
    {"static starts all",
     STATIC(5),
     {MANY, .first = 5},
     {.spawn = 5, .reason = SCALING_MISSING, .again = 100}},
    {"ondemand keeps who serves in some threads",
     ONDEMAND(5),
     {MANY, .partly = 1},
     {.watch = true, .again = 1000}},
    {"ondemand needs no worker beside an idle thread",
     ONDEMAND(5),
     {MANY, .partly = 1, .waiting = 1},
     {.watch = true, .again = 2}},
    {"an idle thread is spare",
     DYNAMIC(5, 1, 2),
     {MANY, .partly = 1},
     {.watch = true, .again = 100}},
    {"static waits for those that start", STATIC(5), {MANY, .starting = 5}, {.again = 100}},
    {"static at rest", STATIC(5), {MANY, .idle = 5}, {.again = -1}},
    {"static, all busy", STATIC(5), {MANY, .serving = 5}, {.again = -1}},
    {"static, more waits than there are workers",
     STATIC(5),
     {MANY, .serving = 5, .waiting = 9},
     {.limit = SCALING_AT_MAX_CHILDREN, .again = -1}},
    {"static, what waits is about to be taken",
     STATIC(5),
     {MANY, .serving = 3, .idle = 2, .waiting = 2},
     {.again = 2}},
    {"static replaces the dead",
     STATIC(5),
     {MANY, .idle = 2, .serving = 1},
     {.spawn = 2, .reason = SCALING_MISSING, .again = 100}},
    {"static replaces who works on",
     STATIC(5),
     {MANY, .idle = 4, .post = 1},
     {.spawn = 1, .reason = SCALING_POST, .again = 100}},
    {"static, replaced", STATIC(5), {MANY, .idle = 5, .post = 1}, {.again = 1000}},
    {"static, one came back", STATIC(5), {MANY, .idle = 6}, {.again = 1000}},
    {"static, over the budget",
     STATIC(5),
     {MANY, .idle = 2, .post = 4},
     {.spawn = 1, .reason = SCALING_POST, .over = 2, .again = 100}},
    {"static, over the budget and no worker left",
     STATIC(5),
     {MANY, .post = 7, .waiting = 3},
     {.limit = SCALING_AT_MAX_CHILDREN, .over = 5, .again = 1000}},
    {"static, process.max allows some",
     STATIC(5),
     {.free_slots = 2, .waiting = 1},
     {.spawn = 2, .reason = SCALING_MISSING, .limit = SCALING_AT_PROCESS_MAX, .again = 100}},
    {"static, process.max allows none, nothing waits",
     STATIC(5),
     {.free_slots = 0, .idle = 3},
     {.limit = SCALING_AT_PROCESS_MAX, .again = 1000}},
    {"static, process.max allows none, a connection waits",
     STATIC(5),
     {.free_slots = 0, .serving = 3, .waiting = 1},
     {.limit = SCALING_AT_PROCESS_MAX, .again = 100}},
    {"static by steps", STATIC(50), {MANY}, {.spawn = RATE, .reason = SCALING_MISSING, .again = 1}},
    {"static, max_children lowered below what serves",
     STATIC(2),
     {MANY, .serving = 4, .idle = 1},
     {.again = 1000}},

    /* ondemand */
    {"ondemand at rest", ONDEMAND(5), {MANY}, {.watch = true, .again = -1}},
    {"ondemand, one a connection",
     ONDEMAND(5),
     {MANY, .waiting = 3},
     {.spawn = 3, .reason = SCALING_WAITING, .watch = true, .again = 2}},
    {"ondemand, some are on their way",
     ONDEMAND(5),
     {MANY, .waiting = 3, .starting = 2},
     {.spawn = 1, .reason = SCALING_WAITING, .watch = true, .again = 2}},
    {"ondemand, enough are on their way",
     ONDEMAND(5),
     {MANY, .waiting = 3, .starting = 3},
     {.watch = true, .again = 2}},
    {"ondemand, idle ones take it",
     ONDEMAND(5),
     {MANY, .waiting = 2, .idle = 2},
     {.watch = true, .again = 2}},
    {"ondemand, more waits than may be started",
     ONDEMAND(5),
     {MANY, .waiting = 9, .serving = 2},
     {.spawn = 3, .reason = SCALING_WAITING, .limit = SCALING_AT_MAX_CHILDREN, .again = 100}},
    {"ondemand full",
     ONDEMAND(5),
     {MANY, .waiting = 9, .serving = 5},
     {.limit = SCALING_AT_MAX_CHILDREN, .again = 1000}},
    {"ondemand full but nothing waits", ONDEMAND(5), {MANY, .serving = 5}, {.again = 1000}},
    {"ondemand at work", ONDEMAND(5), {MANY, .serving = 2}, {.watch = true, .again = 1000}},
    {"ondemand, idle", ONDEMAND(5), {MANY, .idle = 2}, {.watch = true, .again = 1000}},
    {"ondemand by steps",
     ONDEMAND(100),
     {MANY, .waiting = 50},
     {.spawn = RATE, .reason = SCALING_WAITING, .watch = true, .again = 1}},
    {"ondemand, post-response work takes no room",
     ONDEMAND(2),
     {MANY, .post = 2, .waiting = 2},
     {.spawn = 2, .reason = SCALING_WAITING, .again = 2}},
    {"ondemand, work over the budget takes room",
     ONDEMAND(2),
     {MANY, .post = 3, .waiting = 2},
     {.spawn = 1,
      .reason = SCALING_WAITING,
      .limit = SCALING_AT_MAX_CHILDREN,
      .over = 1,
      .again = 100}},
    {"ondemand, post-response work is not replaced without need",
     ONDEMAND(2),
     {MANY, .post = 1},
     {.watch = true, .again = 1000}},
    {"ondemand, process.max allows some",
     ONDEMAND(5),
     {.free_slots = 1, .waiting = 3},
     {.spawn = 1, .reason = SCALING_WAITING, .limit = SCALING_AT_PROCESS_MAX, .again = 100}},
    {"ondemand, process.max allows none",
     ONDEMAND(5),
     {.free_slots = 0, .waiting = 1},
     {.limit = SCALING_AT_PROCESS_MAX, .again = 100}},
    {"ondemand, process.max allows none, nothing waits yet",
     ONDEMAND(5),
     {.free_slots = 0},
     {.watch = true, .again = -1}},
    {"ondemand after a reload",
     ONDEMAND(5),
     {MANY, .first = 3, .waiting = 1},
     {.spawn = 3, .reason = SCALING_WAITING, .watch = true, .again = 2}},
    {"ondemand after a reload, nothing waits",
     ONDEMAND(5),
     {MANY, .first = 3},
     {.spawn = 3, .reason = SCALING_FIRST, .watch = true, .again = 100}},
    {"ondemand, the first are there",
     ONDEMAND(5),
     {MANY, .first = 3, .idle = 2, .serving = 1},
     {.watch = true, .again = 1000}},

    /* dynamic */
    {"dynamic starts its first",
     DYNAMIC(10, 2, 4),
     {MANY, .first = 3},
     {.spawn = 3, .reason = SCALING_FIRST, .watch = true, .again = 100}},
    {"dynamic at rest", DYNAMIC(10, 2, 4), {MANY, .idle = 3}, {.watch = true, .again = -1}},
    {"dynamic keeps spare ones",
     DYNAMIC(10, 2, 4),
     {MANY, .idle = 1, .serving = 3},
     {.spawn = 1, .reason = SCALING_SPARE, .watch = true, .again = 100}},
    {"dynamic, spare ones are on their way",
     DYNAMIC(10, 2, 4),
     {MANY, .starting = 2, .serving = 3},
     {.watch = true, .again = 100}},
    {"dynamic, connections wait: they and the spare ones",
     DYNAMIC(10, 2, 4),
     {MANY, .waiting = 3},
     {.spawn = 5, .reason = SCALING_WAITING, .watch = true, .again = 2}},
    {"dynamic, no room for spare ones",
     DYNAMIC(4, 2, 4),
     {MANY, .serving = 3},
     {.spawn = 1, .reason = SCALING_SPARE, .again = 100}},
    {"dynamic full",
     DYNAMIC(4, 2, 4),
     {MANY, .serving = 4, .waiting = 1},
     {.limit = SCALING_AT_MAX_CHILDREN, .again = 100}},
    {"dynamic, post-response work is replaced if spare workers are missing",
     DYNAMIC(4, 1, 2),
     {MANY, .post = 2},
     {.spawn = 1, .reason = SCALING_SPARE, .watch = true, .again = 100}},
    {"dynamic, process.max allows no spare ones",
     DYNAMIC(10, 2, 4),
     {.free_slots = 0, .idle = 1},
     {.limit = SCALING_AT_PROCESS_MAX, .again = 1000}},
    {"dynamic, too many idle: not yet",
     DYNAMIC(10, 2, 4),
     {MANY, .idle = 7},
     {.watch = true, .again = 1000}},
    {"dynamic, idle ones that serve those that max_children allows",
     DYNAMIC(10, 2, 4),
     {MANY, .idle = 2, .serving = 8},
     {.again = 100}},
};

static void expect(const char *name, struct scaling_verdict got, struct scaling_verdict expected)
{
    cr_expect(got.spawn == expected.spawn && got.retire == expected.retire,
              "%s: spawns %u and retires %u instead of %u and %u", name, got.spawn, got.retire,
              expected.spawn, expected.retire);
    cr_expect_eq(got.reason, expected.reason, "%s: because %s instead of %s", name,
                 scaling_reason_name(got.reason), scaling_reason_name(expected.reason));
    cr_expect_eq(got.limit, expected.limit, "%s: limit %d", name, (int)got.limit);
    cr_expect_eq(got.over, expected.over, "%s: %u over the budget", name, got.over);
    cr_expect_eq(got.watch, expected.watch, "%s: watch %d", name, got.watch);
    cr_expect_eq(got.again, expected.again, "%s: again in %lld ms instead of %lld", name,
                 (long long)got.again, (long long)expected.again);
    cr_expect_eq(got.at_rest, got.again < 0, "%s: at rest", name);
}

Test(scale, verdicts)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scaling_memory memory = {0};
        expect(cases[i].name, scaling_decide(&cases[i].limits, &cases[i].counts, &memory, NOW),
               cases[i].expected);
    }
}

/* Checks that can wait are made at the next whole second, for all pools together. */
Test(scale, leisure_falls_on_whole_seconds)
{
    static const struct {
        struct scaling_limits limits;
        struct scaling_counts counts;
        int64_t at, since, again; /* ms after NOW */
    } looks[] = {
        {ONDEMAND(5), {MANY, .serving = 1}, 1, -1, 999},
        {ONDEMAND(5), {MANY, .idle = 1}, 1, -1, 999},
        {ONDEMAND(5), {MANY, .idle = 1}, 300, -2000, 700},
        {ONDEMAND(5), {MANY, .idle = 1}, 300, 650 - TIMEOUT, 700},
        {ONDEMAND(5), {MANY, .idle = 1}, 300, 1100 - TIMEOUT, 700},
        {STATIC(5), {MANY, .idle = 5, .post = 1}, 999, -1, 1},
        {{.kind = SCALING_ONDEMAND, .max_children = 5, .max_spawn_rate = RATE, .idle_timeout = 80},
         {MANY, .idle = 1},
         300,
         250,
         30},
    };
    for (size_t i = 0; i < COUNT(looks); i++) {
        struct scaling_memory memory = {.since = NOW + looks[i].since, .low = 1};
        struct scaling_verdict verdict =
            scaling_decide(&looks[i].limits, &looks[i].counts, &memory, NOW + looks[i].at);
        cr_expect_eq(verdict.again, looks[i].again, "case %zu: %lld", i, (long long)verdict.again);
    }
}

/* Never more than the limits allow, for any counts. */
Test(scale, limits_hold_for_all_counts)
{
    static const struct scaling_limits limits[] = {STATIC(4), ONDEMAND(4), DYNAMIC(4, 1, 2)};
    for (size_t l = 0; l < COUNT(limits); l++)
        for (unsigned n = 0; n < 6 * 6 * 6 * 6 * 6 * 3; n++) {
            struct scaling_counts counts = {
                .idle = n % 6,
                .serving = n / 6 % 6,
                .post = n / 36 % 6,
                .waiting = n / 216 % 6,
                .starting = n / 1296 % 6,
                .free_slots = n / 7776 % 3,
            };
            struct scaling_memory memory = {.since = 1, .low = 6};
            struct scaling_verdict v = scaling_decide(&limits[l], &counts, &memory, TIMEOUT * 2);
            unsigned all = counts.idle + counts.serving + counts.starting + counts.post;
            cr_assert(v.spawn == 0 || v.retire == 0, "case %zu/%u", l, n);
            cr_assert(v.spawn <= counts.free_slots, "case %zu/%u", l, n);
            cr_assert(v.spawn == 0 || all + v.spawn <= 4 + 2, "case %zu/%u", l, n);
            cr_assert(v.retire <= counts.idle, "case %zu/%u", l, n);
            cr_assert((v.spawn == 0 && v.retire == 0) == (v.reason == SCALING_NOTHING));
            cr_assert(v.limit == SCALING_NO_LIMIT || !v.watch, "case %zu/%u", l, n);
        }
}

/* One check of a pool. */
struct scale_look {
    int64_t at; /* ms after NOW */
    unsigned idle, serving;
    unsigned retire;
};

static void play(const char *name, const struct scaling_limits *limits,
                 const struct scale_look *looks, size_t count)
{
    struct scaling_memory memory = {0};
    for (size_t i = 0; i < count; i++) {
        const struct scaling_counts counts = {MANY, .idle = looks[i].idle,
                                              .serving = looks[i].serving};
        struct scaling_verdict verdict =
            scaling_decide(limits, &counts, &memory, NOW + looks[i].at);
        cr_expect_eq(verdict.retire, looks[i].retire, "%s, look %zu: retires %u instead of %u",
                     name, i, verdict.retire, looks[i].retire);
        cr_expect_eq(verdict.reason, looks[i].retire > 0 ? SCALING_SUPERFLUOUS : SCALING_NOTHING);
    }
}

#define PLAY(name, limits, looks) play(name, &(limits), looks, COUNT(looks))

Test(scale, all_that_are_superfluous_go_in_one_step)
{
    static const struct scaling_limits limits = ONDEMAND(50);
    static const struct scale_look looks[] = {
        {0, 40, 0, 0}, {TIMEOUT - 1, 40, 0, 0}, {TIMEOUT, 40, 0, 40}, {TIMEOUT + 1, 0, 0, 0}};
    PLAY("all", limits, looks);
}

Test(scale, what_was_needed_at_any_moment_stays)
{
    static const struct scaling_limits limits = ONDEMAND(50);
    static const struct scale_look looks[] = {
        {0, 5, 0, 0},          {5000, 2, 3, 0},         {6000, 5, 0, 0},
        {TIMEOUT, 5, 0, 2},    {TIMEOUT + 10, 3, 0, 0}, {2 * TIMEOUT - 1, 3, 0, 0},
        {2 * TIMEOUT, 3, 0, 3}};
    PLAY("a dip", limits, looks);
}

Test(scale, a_dip_to_nothing_begins_anew)
{
    static const struct scaling_limits limits = ONDEMAND(50);
    static const struct scale_look looks[] = {{0, 5, 0, 0},
                                              {5000, 0, 5, 0},
                                              {6000, 5, 0, 0},
                                              {TIMEOUT, 5, 0, 0},
                                              {6000 + TIMEOUT, 5, 0, 5}};
    PLAY("to nothing", limits, looks);
}

Test(scale, superfluous_ones_beside_a_load_that_goes_on)
{
    static const struct scaling_limits limits = ONDEMAND(50);
    static const struct scale_look looks[] = {
        {0, 3, 7, 0}, {2000, 2, 8, 0}, {4000, 4, 6, 0}, {TIMEOUT, 3, 7, 2}, {TIMEOUT + 9, 1, 7, 0}};
    PLAY("a load", limits, looks);
}

Test(scale, dynamic_keeps_its_spare_ones)
{
    static const struct scaling_limits limits = DYNAMIC(50, 2, 4);
    static const struct scale_look looks[] = {
        {0, 9, 0, 0}, {TIMEOUT, 9, 0, 5}, {2 * TIMEOUT, 4, 0, 0}, {4 * TIMEOUT, 4, 0, 0}};
    PLAY("dynamic", limits, looks);
}

Test(scale, static_shrinks_back)
{
    static const struct scaling_limits limits = STATIC(5);
    static const struct scale_look looks[] = {
        {0, 7, 0, 0}, {5000, 6, 1, 0}, {TIMEOUT, 7, 0, 2}, {2 * TIMEOUT, 5, 0, 0}};
    PLAY("static", limits, looks);
}

Test(scale, who_is_about_to_serve_is_not_superfluous)
{
    static const struct scaling_limits limits = ONDEMAND(50);
    struct scaling_memory memory = {0};
    struct scaling_counts counts = {MANY, .idle = 3, .waiting = 3};
    (void)scaling_decide(&limits, &counts, &memory, NOW);
    cr_expect_eq(memory.since, 0);
    counts.waiting = 1;
    (void)scaling_decide(&limits, &counts, &memory, NOW);
    cr_expect_eq(memory.low, 2);
    counts.waiting = 0;
    cr_expect_eq(scaling_decide(&limits, &counts, &memory, NOW + TIMEOUT).retire, 2);
}

/* No worker is retired in the same step in which another one is started. */
Test(scale, a_start_ends_what_was_superfluous)
{
    static const struct scaling_limits limits = ONDEMAND(50);
    struct scaling_memory memory = {0};
    struct scaling_counts counts = {MANY, .idle = 3};
    (void)scaling_decide(&limits, &counts, &memory, NOW);
    counts.waiting = 5;
    struct scaling_verdict verdict = scaling_decide(&limits, &counts, &memory, NOW + TIMEOUT);
    cr_expect(verdict.spawn == 2 && verdict.retire == 0);
    counts = (struct scaling_counts){MANY, .idle = 5};
    verdict = scaling_decide(&limits, &counts, &memory, NOW + TIMEOUT + 1);
    cr_expect_eq(verdict.retire, 0);
}

Test(scale, the_mark_is_read_in_time)
{
    struct scaling_limits limits = ONDEMAND(5);
    struct scaling_memory memory = {0};
    const struct scaling_counts counts = {MANY, .idle = 1};
    cr_expect_eq(scaling_decide(&limits, &counts, &memory, NOW).again, 1000);
    cr_expect_eq(scaling_decide(&limits, &counts, &memory, NOW + TIMEOUT - 300).again, 300);
    struct scaling_verdict last = scaling_decide(&limits, &counts, &memory, NOW + TIMEOUT);
    cr_expect(last.retire == 1 && last.again == -1);
    memory = (struct scaling_memory){0};
    limits.idle_timeout = 1;
    cr_expect_eq(scaling_decide(&limits, &counts, &memory, NOW).again, 1);
    memory = (struct scaling_memory){0};
    limits.idle_timeout = 40;
    cr_expect_eq(scaling_decide(&limits, &counts, &memory, NOW).again, 40);
}

/* A queue that does not move is checked at growing intervals, and soon again after it was empty. */
Test(scale, patience_with_a_queue)
{
    static const int64_t waits[] = {2, 4, 8, 16, 32, 64, 64};
    static const struct scaling_limits limits = STATIC(2);
    struct scaling_memory memory = {0};
    struct scaling_counts counts = {MANY, .idle = 2, .waiting = 1};
    for (size_t i = 0; i < COUNT(waits); i++)
        cr_expect_eq(scaling_decide(&limits, &counts, &memory, NOW).again, waits[i], "look %zu", i);
    counts.waiting = 0;
    cr_expect_eq(scaling_decide(&limits, &counts, &memory, NOW).again, -1);
    counts.waiting = 1;
    cr_expect_eq(scaling_decide(&limits, &counts, &memory, NOW).again, 2);
}

Test(scale, every_reason_has_words)
{
    for (int reason = 0; reason < SCALING_REASON_COUNT; reason++)
        cr_expect(strlen(scaling_reason_name((enum scaling_reason)reason)) > 8);
    cr_expect_str_eq(scaling_reason_name(SCALING_REASON_COUNT), "unknown");
}
