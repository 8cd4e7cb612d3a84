/* test_small_worlds.c: the pure deciders, for all small inputs, against what their headers promise.
 *
 * Each promise is written as a predicate, a search or a history, never as the code has it. Numbers
 * go up to 3, and up to 4 with OVERTIME_LONG. The life of a request is in test_lifecycle.c.
 */
#include "fpm/pool/backoff.h"
#include "fpm/pool/scaling.h"
#include "fpm/slow_log/deadline.h"
#include "sapi-shim/connection/allowed_clients.h"
#include "sapi-shim/connection/keepalive_policy.h"
#include "sapi-shim/request/bailout_policy.h"
#include "sapi-shim/request/time_limit.h"
#include "sapi-shim/util/clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An assertion of Criterion costs microseconds even if it holds, and there are millions of cases.
 */
#define HOLDS(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            cr_assert_fail(__VA_ARGS__);                                                           \
    } while (0)

static unsigned largest(void)
{
    return getenv("OVERTIME_LONG") != NULL ? 4 : 3;
}

/* Takes the next digit, 0 to `base` - 1, off a case number. */
static unsigned digit(unsigned long *number, unsigned base)
{
    unsigned value = (unsigned)(*number % base);
    *number /= base;
    return value;
}

/* ---- scaling ---- */

struct world {
    struct scaling_limits limits;
    struct scaling_counts counts;
    unsigned over, counted; /* what follows from them */
};

/* Do workers lack if `more` were started? */
static bool lacks(const struct world *w, unsigned more)
{
    const struct scaling_counts *c = &w->counts;
    unsigned coming = c->idle + c->partly + c->starting + more;
    switch (w->limits.kind) {
    case SCALING_STATIC:
        return w->counted + more < w->limits.max_children;
    case SCALING_DYNAMIC:
        if (coming < c->waiting + w->limits.min_spare)
            return true;
        /* fall through */
    case SCALING_ONDEMAND:
    default:
        return coming < c->waiting || coming + c->serving < c->first;
    }
}

/* May `more` workers be there, beside those that are? */
static bool room_for(const struct world *w, unsigned more)
{
    return w->counted + more <= w->limits.max_children && more <= w->counts.free_slots;
}

/* Is the pool as well off without `fewer` of its idle workers? */
static bool dispensable(const struct world *w, unsigned fewer)
{
    const struct scaling_counts *c = &w->counts;
    if (c->idle < c->waiting + fewer)
        return false;
    unsigned left = c->idle - c->waiting - fewer; /* the others are about to serve */
    unsigned all = w->counted - c->idle + left;
    if (all >= w->limits.max_children)
        return true;
    return w->limits.kind != SCALING_STATIC && all >= c->first &&
           (w->limits.kind != SCALING_DYNAMIC || left + c->partly >= w->limits.max_spare);
}

/* The smallest number of workers that helps, as far as the limits allow. */
static unsigned expected_spawn(const struct world *w, bool *cut)
{
    unsigned spawn = 0;
    while (lacks(w, spawn) && room_for(w, spawn + 1) && spawn < w->limits.max_spawn_rate)
        spawn++;
    *cut = lacks(w, spawn) && room_for(w, spawn + 1);
    return spawn;
}

static enum scaling_limit expected_limit(const struct world *w)
{
    const struct scaling_counts *c = &w->counts;
    unsigned may = 0;
    while (room_for(w, may + 1))
        may++;
    bool more_children = w->counted + may < w->limits.max_children;
    bool too_many_wait = c->waiting > c->idle + c->partly + c->starting + may;
    if (!too_many_wait && !(more_children && lacks(w, may)))
        return SCALING_NO_LIMIT;
    return more_children ? SCALING_AT_PROCESS_MAX : SCALING_AT_MAX_CHILDREN;
}

static enum scaling_reason expected_reason(const struct world *w)
{
    const struct scaling_counts *c = &w->counts;
    int coming = (int)(c->idle + c->partly + c->starting);
    if (w->limits.kind == SCALING_STATIC)
        return c->post > 0 ? SCALING_POST : SCALING_MISSING;
    if ((int)c->waiting > coming)
        return SCALING_WAITING;
    int first = (int)c->first - coming - (int)c->serving;
    int spare = (int)(c->waiting + w->limits.min_spare) - coming;
    return w->limits.kind == SCALING_DYNAMIC && spare > 0 && spare > first ? SCALING_SPARE
                                                                           : SCALING_FIRST;
}

/* What goes on, so that the pool must look again without an event. */
static bool goes_on(const struct world *w, const struct scaling_verdict *v,
                    const struct scaling_memory *memory)
{
    const struct scaling_counts *c = &w->counts;
    bool serving = c->serving + c->partly > 0 && w->limits.kind != SCALING_STATIC;
    bool queue = c->waiting > 0 && v->limit == SCALING_NO_LIMIT;
    return v->spawn > 0 || c->starting > 0 || c->post > 0 || serving || queue ||
           memory->since != 0 || v->limit == SCALING_AT_PROCESS_MAX;
}

static void check_world(const struct world *w, unsigned long number)
{
    enum {
        NOW = 1300,
        TIMEOUT = 400
    };
    bool cut = false;
    unsigned spawn = expected_spawn(w, &cut);
    unsigned superfluous = 0;
    while (spawn == 0 && superfluous < w->counts.idle && dispensable(w, superfluous + 1))
        superfluous++;

    struct scaling_memory memory = {0};
    struct scaling_verdict v = scaling_decide(&w->limits, &w->counts, &memory, NOW);
    HOLDS(v.spawn == spawn, "world %lu: starts %u, not %u", number, v.spawn, spawn);
    HOLDS(v.retire == 0, "world %lu: retires before the timeout", number);
    HOLDS(v.limit == expected_limit(w), "world %lu: limit %d", number, (int)v.limit);
    HOLDS(v.over == w->over, "world %lu: over %u", number, v.over);
    HOLDS(v.reason == (spawn > 0 ? expected_reason(w) : SCALING_NOTHING), "world %lu: %s", number,
          scaling_reason_name(v.reason));
    HOLDS(v.watch == (w->limits.kind != SCALING_STATIC && v.limit == SCALING_NO_LIMIT &&
                      w->counted + spawn < w->limits.max_children),
          "world %lu: watch %d", number, v.watch);
    HOLDS((memory.since == NOW ? memory.low : 0) == superfluous, "world %lu: %u superfluous",
          number, superfluous);
    HOLDS(v.at_rest == !goes_on(w, &v, &memory), "world %lu: at rest %d", number, v.at_rest);
    HOLDS(v.at_rest ? v.again == -1 : v.again >= 1 && v.again <= 1000, "world %lu: %lld", number,
          (long long)v.again);
    HOLDS((v.again == 1) == cut, "world %lu: the step is not cut at the rate", number);

    /* Two were superfluous for all of the timeout. */
    memory = (struct scaling_memory){.since = NOW - TIMEOUT, .low = 2};
    v = scaling_decide(&w->limits, &w->counts, &memory, NOW);
    HOLDS(v.retire == (superfluous < 2 ? superfluous : 2), "world %lu: retires %u of %u", number,
          v.retire, superfluous);
    HOLDS((v.reason == SCALING_SUPERFLUOUS) == (v.retire > 0), "world %lu: %s", number,
          scaling_reason_name(v.reason));
    HOLDS((memory.since != 0) == (superfluous > 2), "world %lu: counts on", number);
}

/* All counts of one pool. */
static void check_counts(const struct scaling_limits *limits, unsigned base)
{
    unsigned long worlds = 1;
    for (int i = 0; i < 8; i++)
        worlds *= base;
    for (unsigned long number = 0; number < worlds; number++) {
        unsigned long n = number;
        struct world w = {.limits = *limits};
        w.counts = (struct scaling_counts){
            .starting = digit(&n, base),
            .idle = digit(&n, base),
            .partly = digit(&n, base),
            .serving = digit(&n, base),
            .post = digit(&n, base),
            .waiting = digit(&n, base),
            .first = digit(&n, base),
            .free_slots = digit(&n, base),
        };
        w.over = w.counts.post > limits->post_max ? w.counts.post - limits->post_max : 0;
        w.counted = w.counts.starting + w.counts.idle + w.counts.partly + w.counts.serving + w.over;
        check_world(&w, number);
    }
}

static void check_pools(enum scaling_kind kind)
{
    unsigned top = largest();
    unsigned top_spare = kind == SCALING_DYNAMIC ? top : 0;
    struct scaling_limits limits = {.kind = kind, .idle_timeout = 400};
    for (limits.max_children = 1; limits.max_children <= top; limits.max_children++)
        for (limits.max_spawn_rate = 1; limits.max_spawn_rate <= top; limits.max_spawn_rate++)
            for (limits.post_max = 0; limits.post_max <= top; limits.post_max++)
                for (limits.max_spare = 0; limits.max_spare <= top_spare; limits.max_spare++)
                    for (limits.min_spare = 0; limits.min_spare <= limits.max_spare;
                         limits.min_spare++)
                        check_counts(&limits, top + 1);
}

Test(small_worlds, static_pools)
{
    check_pools(SCALING_STATIC);
}

Test(small_worlds, ondemand_pools)
{
    check_pools(SCALING_ONDEMAND);
}

Test(small_worlds, dynamic_pools)
{
    check_pools(SCALING_DYNAMIC);
}

/* All histories of eight looks, half a timeout apart: a worker goes only if as many were
 * superfluous at each look of a whole timeout, and it goes before two timeouts are over. */
Test(small_worlds, retiring)
{
    enum {
        LOOKS = 8,
        HALF = 50
    };
    const struct scaling_limits limits = {
        .kind = SCALING_ONDEMAND, .max_children = 9, .max_spawn_rate = 1, .idle_timeout = 2 * HALF};
    for (unsigned long number = 0; number < 65536; number++) { /* 4 to the power of LOOKS */
        struct scaling_memory memory = {0};
        unsigned idle[LOOKS];
        unsigned long n = number;
        int last_retired = -1;
        for (int i = 0; i < LOOKS; i++) {
            struct scaling_counts counts = {.free_slots = 9, .idle = idle[i] = digit(&n, 4)};
            unsigned retire = scaling_decide(&limits, &counts, &memory, 7 + i * HALF).retire;
            unsigned low = idle[i];
            for (int k = i; k >= 0 && k >= i - 2; k--)
                low = idle[k] < low ? idle[k] : low;
            HOLDS(retire <= (i < 2 ? 0 : low), "history %lu, look %d: %u go", number, i, retire);
            last_retired = idle[i] == 0 || retire > 0 ? i : last_retired;
            HOLDS(i - last_retired < 4, "history %lu, look %d: none goes", number, i);
        }
    }
}

/* A queue that does not move is checked after 2, 4, ... 64 ms, and anew after it was empty. */
Test(small_worlds, a_queue_that_does_not_move)
{
    const struct scaling_limits limits = {
        .kind = SCALING_STATIC, .max_children = 1, .max_spawn_rate = 1};
    for (unsigned history = 0; history < 1u << 12; history++) {
        struct scaling_memory memory = {0};
        unsigned row = 0;
        for (unsigned i = 0; i < 12; i++) {
            struct scaling_counts counts = {.idle = 1, .waiting = history >> i & 1};
            row = counts.waiting > 0 ? row + 1 : 0;
            int64_t expected = row == 0 ? -1 : row > 6 ? 64 : 1 << row;
            HOLDS(scaling_decide(&limits, &counts, &memory, 1).again == expected,
                  "history %x, look %u", history, i);
        }
    }
}

/* ---- deadline ---- */

/* Has `limit` passed for what runs since `since`, by counting its time up? */
static bool counted_up(uint64_t since, uint64_t limit, uint64_t now, uint64_t *passes)
{
    *passes = since < now ? since : now;
    for (uint64_t i = 0; i < limit; i++)
        ++*passes;
    return *passes <= now;
}

Test(small_worlds, deadlines)
{
    enum {
        BASE = 5
    };
    for (unsigned long number = 0; number < 390625UL * 2; number++) { /* 5 to the power of 8 */
        unsigned long n = number;
        bool with_memory = digit(&n, 2) == 1;
        struct deadline_limits limits = {digit(&n, BASE), digit(&n, BASE)};
        struct deadline_stamps stamps = {digit(&n, BASE), digit(&n, BASE), digit(&n, BASE)};
        struct deadline_reported before = {digit(&n, BASE), digit(&n, BASE)};
        struct deadline_reported after = before;
        uint64_t check_before = digit(&n, BASE);
        uint64_t check = check_before;
        enum deadline_verdict verdict =
            deadline_check(&limits, &stamps, with_memory ? &after : NULL, &check);

        uint64_t at[2];
        bool applies[] = {stamps.running_since > 0 && limits.request > 0 &&
                              !(with_memory && before.running_since == stamps.running_since),
                          stamps.finished_since > 0 && limits.post_response > 0 &&
                              !(with_memory && before.finished_since == stamps.finished_since)};
        bool passed[] = {
            counted_up(stamps.running_since, limits.request, stamps.now, &at[0]) && applies[0],
            counted_up(stamps.finished_since, limits.post_response, stamps.now, &at[1]) &&
                applies[1]};
        enum deadline_verdict expected = passed[0]   ? DEADLINE_REQUEST
                                         : passed[1] ? DEADLINE_POST_RESPONSE
                                                     : DEADLINE_NOT_PASSED;
        HOLDS(verdict == expected, "case %lu: %d", number, (int)verdict);

        /* The next check is the earliest of what it was and of the limits that did not pass; the
         * second one counts only if the first did not pass. */
        uint64_t earliest = check_before == 0 ? UINT64_MAX : check_before;
        for (int i = 0; i < 2; i++)
            if (applies[i] && !passed[i] && !passed[0] && at[i] < earliest)
                earliest = at[i];
        HOLDS(check == (earliest == UINT64_MAX ? 0 : earliest), "case %lu: next check", number);
        HOLDS(after.running_since ==
                  (with_memory && passed[0] ? stamps.running_since : before.running_since),
              "case %lu: noted", number);
        HOLDS(after.finished_since == (with_memory && verdict == DEADLINE_POST_RESPONSE
                                           ? stamps.finished_since
                                           : before.finished_since),
              "case %lu: noted", number);
    }
}

Test(small_worlds, time_limits)
{
    for (unsigned long number = 0; number < 15625; number++) { /* 5 to the power of 6 */
        unsigned long n = number;
        struct time_limit limit = {.hard_ms = digit(&n, 5)};
        int64_t ms = digit(&n, 5);
        int64_t cpu_ms = digit(&n, 5);
        int64_t set = digit(&n, 5) + 1;
        int64_t cpu_now = digit(&n, 5);
        int64_t now = set + digit(&n, 5);
        bool reached = ms > 0 && now - set >= ms;
        bool hard = limit.hard_ms > 0 && ms > 0 && now - set >= ms + limit.hard_ms;
        time_limit_set(&limit, ms, "name", (uint64_t)set * CLOCK_NS_PER_MS);
        HOLDS(time_limit_is_reached(&limit, (uint64_t)now * CLOCK_NS_PER_MS) == reached, "case %lu",
              number);
        HOLDS(time_limit_is_hard(&limit, (uint64_t)now * CLOCK_NS_PER_MS) == hard, "case %lu",
              number);

        /* The CPU clock ends it now, once. */
        bool cpu = cpu_ms > 0 && cpu_now >= cpu_ms;
        time_limit_set_cpu(&limit, cpu_ms, 0);
        time_limit_check_cpu(&limit, (uint64_t)cpu_now * CLOCK_NS_PER_MS,
                             (uint64_t)now * CLOCK_NS_PER_MS);
        HOLDS(time_limit_is_reached(&limit, (uint64_t)now * CLOCK_NS_PER_MS) == (reached || cpu),
              "case %lu", number);
        HOLDS((limit.ms == cpu_ms && strcmp(limit.name, "name") != 0) == cpu, "case %lu: named %s",
              number, limit.name);
        time_limit_clear(&limit);
        time_limit_check_cpu(&limit, (uint64_t)cpu_now * CLOCK_NS_PER_MS,
                             (uint64_t)now * CLOCK_NS_PER_MS);
        HOLDS(!time_limit_is_reached(&limit, UINT64_MAX) && !time_limit_is_hard(&limit, UINT64_MAX),
              "case %lu: reported twice", number);
    }
}

/* ---- backoff ---- */

static bool from_outside(int signal)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM};
    for (size_t i = 0; i < COUNT(signals); i++)
        if (signals[i] == signal)
            return true;
    return false;
}

Test(small_worlds, deaths)
{
    static const int64_t lives[] = {0,
                                    BACKOFF_USEFUL_MS - 1,
                                    BACKOFF_USEFUL_MS,
                                    BACKOFF_STABLE_MS - 1,
                                    BACKOFF_STABLE_MS,
                                    BACKOFF_STABLE_MS + 1};
    unsigned long deaths = 64UL * 5 * COUNT(lives) * 32 * 3;
    for (unsigned long number = 0; number < deaths; number++) {
        unsigned long n = number;
        struct backoff_death d = {
            .no_process = digit(&n, 2) == 1,
            .exec_failed = digit(&n, 2) == 1,
            .stopped = digit(&n, 2) == 1,
            .attached = digit(&n, 2) == 1,
            .accepting = digit(&n, 2) == 1,
            .pool_served = digit(&n, 2) == 1,
            .served = digit(&n, 5),
            .started = 7,
            .now = 7 + lives[digit(&n, COUNT(lives))],
            .signal = (int)digit(&n, 32),
            .exit_status = (int)digit(&n, 3) - 1,
        };
        int64_t lived = d.now - d.started;
        bool ran = !d.exec_failed;
        bool did_its_work = d.stopped || lived >= BACKOFF_STABLE_MS || (d.attached && d.served > 0);
        bool was_up = d.accepting || (!d.attached && lived >= BACKOFF_USEFUL_MS);
        bool killed = ran && !did_its_work && was_up && from_outside(d.signal);
        bool left = !d.attached && was_up && d.exit_status == 0 && !from_outside(d.signal);
        bool recycled = ran && (did_its_work || left);
        HOLDS(!(killed && recycled), "death %lu", number);
        enum backoff_verdict verdict = backoff_judge(&d);
        HOLDS((verdict == BACKOFF_KILLED) == killed, "death %lu: %d", number, (int)verdict);
        HOLDS((verdict == BACKOFF_RECYCLED) == recycled, "death %lu: %d", number, (int)verdict);
    }
}

/* All histories of six deaths: a failure of a worker that was started after the last one, a failure
 * of one that was started with it, a recycled one, a killed one, and one after which all is
 * forgotten; each soon, at the end of the wait, or long after it. */
Test(small_worlds, failures_in_a_row)
{
    enum {
        DEATHS = 6,
        KINDS = 6,
        CHOICES = 3 * KINDS
    };
    static const int64_t delays[] = {0, 100, 200, 400, 800, 1600, 3200};
    unsigned long histories = 1;
    for (int i = 0; i < DEATHS; i++)
        histories *= CHOICES;
    for (unsigned long number = 0; number < histories; number += largest() == 4 ? 1 : 31) {
        struct backoff backoff = {0};
        unsigned row = 0;
        int64_t last = 0, until = 0, now = 1;
        unsigned long n = number;
        for (int i = 0; i < DEATHS; i++) {
            unsigned kind = digit(&n, KINDS);
            const int64_t pauses[] = {1, until > now ? until - now : 1,
                                      BACKOFF_STABLE_MS + (until > now ? until - now : 0)};
            now += pauses[digit(&n, COUNT(pauses))];
            struct backoff_death d = {
                .now = now,
                .started = kind == 1 ? last : now - 1,
                .attached = true,
                .signal = kind == 3 ? SIGKILL : SIGSEGV,
                .accepting = kind == 3,
                .served = kind == 2,
                .pool_served = kind == 4,
                .exit_status = -1,
                .exec_failed = kind == 5,
            };
            bool step = false;
            int64_t wait = backoff_note(&backoff, &d, &step);
            bool fails = kind != 2 && kind != 3 && !(kind == 1 && now - last >= BACKOFF_STABLE_MS);
            bool counts = fails && (row == 0 || d.started > last);
            if (kind == 2 || (kind == 1 && now - last >= BACKOFF_STABLE_MS))
                row = 0, last = until = 0;
            if (counts) {
                row = kind == 4 || now - until >= BACKOFF_STABLE_MS ? 1 : row + 1;
                last = now;
                until = now + delays[row];
            }
            int64_t expected = row > 0 && until > now ? until - now : 0;
            HOLDS(step == counts, "history %lu, death %d: a step %d", number, i, step);
            HOLDS(wait == expected, "history %lu, death %d: %lld, not %lld", number, i,
                  (long long)wait, (long long)expected);
            HOLDS(backoff_wait(&backoff, now) == wait, "history %lu, death %d", number, i);
        }
    }
}

Test(small_worlds, crashes_that_replace_all)
{
    enum {
        CRASHES = 8
    };
    for (unsigned threshold = 0; threshold <= 4; threshold++)
        for (int64_t interval = 0; interval <= 4; interval++)
            for (unsigned long number = 0; number < 6561; number++) { /* 3 to the power of 8 */
                struct backoff_crashes crashes = {0};
                int64_t at[CRASHES], now = 0;
                unsigned long n = number;
                int since = 0; /* the first crash that was not forgotten */
                for (int i = 0; i < CRASHES; i++) {
                    at[i] = now += digit(&n, 3);
                    int oldest = threshold > 0 ? i + 1 - (int)threshold : -1;
                    bool expected = interval > 0 && oldest >= since && now - at[oldest] <= interval;
                    HOLDS(backoff_note_crash(&crashes, threshold, interval, now) == expected,
                          "%u within %lld, history %lu, crash %d", threshold, (long long)interval,
                          number, i);
                    since = expected ? i + 1 : since;
                }
                backoff_free_crashes(&crashes);
            }
}

/* ---- kept connections ---- */

/* All histories of five requests. The model is a debt that is paid off by one connection a
 * millisecond, and the time since a slow request. */
Test(small_worlds, passing_connections_on)
{
    static const int64_t pauses[] = {0, 150, 9992}; /* ms */
    static const int64_t lasts[] = {0, 7, 8};
    static const size_t kept[] = {1, 130, 400};
    for (unsigned long number = 0; number < 14348907; number += largest() == 4 ? 1 : 41) {
        struct keepalive_policy policy = {0};
        int64_t now = 1000000, debt = 0, since_slow = INT64_MAX / 2;
        unsigned long n = number;
        for (int i = 0; i < 5; i++) {
            int64_t pause = pauses[digit(&n, 3)], duration = lasts[digit(&n, 3)];
            size_t idle = kept[digit(&n, 3)];
            now += pause;
            since_slow += pause;
            debt = debt > pause ? debt - pause : 0;
            bool expected = since_slow < 10000 && debt <= 200;
            HOLDS(keepalive_policy_begin(&policy, (uint64_t)now * CLOCK_NS_PER_MS, idle) ==
                      expected,
                  "history %lu, request %d", number, i);
            HOLDS(policy.began != 0, "history %lu, request %d", number, i);
            debt += expected ? (int64_t)idle : 0;
            now += duration;
            since_slow = duration >= 8 ? 0 : since_slow + duration;
            debt = debt > duration ? debt - duration : 0;
            keepalive_policy_end(&policy, (uint64_t)now * CLOCK_NS_PER_MS);
            HOLDS(policy.began == 0, "history %lu, request %d", number, i);
        }
    }
}

Test(small_worlds, shortcuts)
{
    for (unsigned history = 0; history < 1u << 10; history++) {
        struct keepalive_policy_skip skip = {0};
        unsigned failures = 0;
        for (unsigned i = 0; i < 10; i++) {
            unsigned skipped = 0;
            while (!keepalive_policy_try(&skip))
                skipped++;
            HOLDS(skipped == (failures < 6 ? (1u << failures) - 1 : 63), "history %x, try %u",
                  history, i);
            bool paid = history >> i & 1;
            failures = paid ? 0 : failures + 1;
            keepalive_policy_tried(&skip, paid);
        }
    }
}

/* ---- who may connect ---- */

/* The first four bits of an address as text: a network holds what begins with its first bits. */
static bool begins_alike(unsigned a, unsigned b, unsigned bits)
{
    char text_a[5] = "", text_b[5] = "";
    for (unsigned i = 0; i < 4; i++) {
        text_a[i] = a & 8u >> i ? '1' : '0';
        text_b[i] = b & 8u >> i ? '1' : '0';
    }
    return strncmp(text_a, text_b, bits) == 0;
}

/* An entry: four bits of an address, a length of up to 4, a family; or a typing error. */
enum {
    LIST_NETS = 16 * 5 * 2,
    LIST_ENTRIES = LIST_NETS + 1
};

static void list_entry(unsigned entry, char *text, size_t size)
{
    if (entry == LIST_NETS)
        snprintf(text, size, "10.0.0.0/");
    else if (entry % 2 == 0)
        snprintf(text, size, "%u.0.0.0/%u", entry / 10 << 4, entry / 2 % 5);
    else
        snprintf(text, size, "%x000::/%u", entry / 10, entry / 2 % 5);
}

/* ::/0 holds the mapped addresses of IPv4, as does a network of IPv6 that begins with zeros. */
static bool entry_allows(unsigned entry, unsigned client, bool v6)
{
    bool entry_v6 = entry % 2 == 1;
    if (entry == LIST_NETS || (v6 && !entry_v6))
        return false;
    return begins_alike(entry / 10, v6 == entry_v6 ? client : 0, entry / 2 % 5);
}

Test(small_worlds, lists_of_clients)
{
    for (unsigned first = 0; first < LIST_ENTRIES; first++)
        for (unsigned second = 0; second < LIST_ENTRIES; second++) {
            char a[32], b[32], list[80];
            struct allowed_clients clients;
            list_entry(first, a, sizeof a);
            list_entry(second, b, sizeof b);
            snprintf(list, sizeof list, "%s, %s", a, b);
            HOLDS(allowed_clients_parse(&clients, list), "%s", list);
            for (unsigned client = 0; client < 16; client++) {
                struct sockaddr_in v4 = {.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(client << 28 | 1)};
                struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
                v6.sin6_addr.s6_addr[0] = (unsigned char)(client << 4);
                v6.sin6_addr.s6_addr[15] = 1;
                HOLDS(
                    allowed_clients_allow(&clients, (struct sockaddr *)&v4) ==
                        (entry_allows(first, client, false) || entry_allows(second, client, false)),
                    "%s: %u.0.0.1", list, client << 4);
                HOLDS(allowed_clients_allow(&clients, (struct sockaddr *)&v6) ==
                          (entry_allows(first, client, true) || entry_allows(second, client, true)),
                      "%s: %x000::1", list, client);
            }
            allowed_clients_free(&clients);
        }
}

/* ---- aborts and time-outs ---- */

Test(small_worlds, safe_points)
{
    static const enum ot_bailout settings[] = {OT_BAILOUT_AUTO, OT_BAILOUT_UNWIND, OT_BAILOUT_EXIT,
                                               OT_BAILOUT_NONE};
    for (unsigned long number = 0; number < 32 * COUNT(settings); number++) {
        unsigned long n = number;
        struct bailout_policy_state s = {
            .aborted = digit(&n, 2) == 1,
            .timed_out = digit(&n, 2) == 1,
            .ignore_abort = digit(&n, 2) == 1,
            .in_shutdown = digit(&n, 2) == 1,
            .can_unwind = digit(&n, 2) == 1,
            .bailout = settings[digit(&n, COUNT(settings))],
        };
        bool chosen = s.bailout == OT_BAILOUT_EXIT || s.bailout == OT_BAILOUT_NONE;
        enum bailout_policy_verdict v = bailout_policy_decide(&s);
        bool acts = v != BAILOUT_POLICY_CONTINUE;
        /* A time limit always acts; an abort acts unless it is ignored or already cleaned up. */
        HOLDS(!s.timed_out || acts, "state %lu: the time limit is overlooked", number);
        HOLDS(s.timed_out || acts == (s.aborted && !s.ignore_abort && !s.in_shutdown),
              "state %lu: the abort", number);
        /* The setting is obeyed; by default an unwinding that is possible is preferred. */
        HOLDS(!acts || s.bailout != OT_BAILOUT_EXIT || v == BAILOUT_POLICY_EXIT, "state %lu",
              number);
        HOLDS(!acts || s.bailout != OT_BAILOUT_NONE || v == BAILOUT_POLICY_REPORT, "state %lu",
              number);
        HOLDS((v == BAILOUT_POLICY_UNWIND) == (acts && !chosen && s.can_unwind), "state %lu",
              number);
        /* Without a way to unwind, a late request takes its process along, an abort never does. */
        HOLDS(!acts || chosen || s.can_unwind || (v == BAILOUT_POLICY_EXIT) == s.timed_out,
              "state %lu", number);
    }
}
