/* scaling.c: see scaling.h. */
#include "fpm/pool/scaling.h"

#include "sapi-shim/util/clock.h"

#include <sys/param.h>

enum {
    SCALING_SOON = 1,        /* ms: the step was cut by pm.max_spawn_rate */
    SCALING_PATIENCE = 2,    /* ms: first look again at a queue, doubled up to */
    SCALING_IMPATIENCE = 64, /* ms */
    SCALING_BUSY_LOOK = 100, /* ms: dynamic, while requests are served */
    SCALING_TICK = 1000      /* ms: what needs no precision happens on whole seconds */
};

const char *scaling_reason_name(enum scaling_reason reason)
{
    static const char *const names[SCALING_REASON_COUNT] = {
        [SCALING_NOTHING] = "nothing to do",
        [SCALING_FIRST] = "the pool starts",
        [SCALING_WAITING] = "connections wait",
        [SCALING_SPARE] = "fewer idle than pm.min_spare_servers",
        [SCALING_MISSING] = "fewer than pm.max_children",
        [SCALING_POST] = "others work on after the response",
        [SCALING_SUPERFLUOUS] = "idle and not needed for pm.process_idle_timeout",
    };
    return reason < SCALING_REASON_COUNT ? names[reason] : "unknown";
}

static unsigned scaling_minus(unsigned a, unsigned b)
{
    return a > b ? a - b : 0;
}

/* Workers that are missing, were there no limits. */
static unsigned scaling_need(const struct scaling_limits *limits,
                             const struct scaling_counts *counts, unsigned free,
                             enum scaling_reason *reason)
{
    unsigned coming = counts->idle + counts->starting;
    unsigned waiting = scaling_minus(counts->waiting, coming);
    unsigned first = scaling_minus(counts->first, coming + counts->serving);
    unsigned spare = 0;
    if (limits->kind == SCALING_STATIC) {
        *reason = counts->post > 0 ? SCALING_POST : SCALING_MISSING;
        return free;
    }
    if (limits->kind == SCALING_DYNAMIC)
        spare = scaling_minus(counts->waiting + limits->min_spare, coming);
    *reason = waiting > 0 ? SCALING_WAITING : spare > first ? SCALING_SPARE : SCALING_FIRST;
    unsigned most = spare > waiting ? spare : waiting;
    return first > most ? first : most;
}

/* Idle workers that the pool would not miss at this moment: what waits is about to be theirs. */
static unsigned scaling_superfluous(const struct scaling_limits *limits,
                                    const struct scaling_counts *counts, unsigned counted)
{
    unsigned keep = limits->kind == SCALING_STATIC    ? limits->max_children
                    : limits->kind == SCALING_DYNAMIC ? limits->max_spare
                                                      : 0;
    unsigned others = counted - counts->idle;
    unsigned first = scaling_minus(counts->first, others);
    keep = MIN(keep > first ? keep : first, scaling_minus(limits->max_children, others));
    return scaling_minus(scaling_minus(counts->idle, counts->waiting), keep);
}

/* The low-water mark: what was superfluous all the time is retired, all of it in one step. */
static unsigned scaling_retire(const struct scaling_limits *limits, unsigned superfluous,
                               struct scaling_memory *memory, int64_t now)
{
    if (superfluous == 0) {
        memory->since = 0;
        return 0;
    }
    if (memory->since == 0) {
        memory->since = now;
        memory->low = superfluous;
    }
    memory->low = MIN(memory->low, superfluous);
    if (now - memory->since < limits->idle_timeout)
        return 0;
    unsigned retire = memory->low;
    memory->since = superfluous > retire ? now : 0;
    memory->low = superfluous - retire;
    return retire;
}

/* A queue and a scoreboard are read one after the other, and a connection may be on its way from
 * one to the other: a queue that was seen is looked at again until it is empty. */
static int64_t scaling_watch_queue(const struct scaling_counts *counts,
                                   struct scaling_memory *memory)
{
    if (counts->waiting == 0) {
        memory->patience = 0;
        return -1;
    }
    if (memory->patience == 0)
        memory->patience = SCALING_PATIENCE;
    else if (memory->patience < SCALING_IMPATIENCE)
        memory->patience *= 2;
    return memory->patience;
}

/* ms until the next whole second. All pools have these in common: however many they are, they wake
 * the manager up once. */
static int64_t scaling_next_tick(int64_t now)
{
    return SCALING_TICK - now % SCALING_TICK;
}

/* When the low-water mark is read next: with each tick, which is precise enough for a pool that
 * counts its patience in seconds. */
static int64_t scaling_next_reading(const struct scaling_limits *limits,
                                    const struct scaling_memory *memory, int64_t now)
{
    int64_t left = memory->since + limits->idle_timeout - now;
    if (left > 0 && limits->idle_timeout < SCALING_TICK)
        return left;
    return scaling_next_tick(now);
}

static int64_t scaling_again(const struct scaling_limits *limits,
                             const struct scaling_counts *counts, struct scaling_memory *memory,
                             const struct scaling_verdict *verdict, int64_t now)
{
    int64_t again = -1;
    if (verdict->limit == SCALING_NO_LIMIT)
        again = scaling_watch_queue(counts, memory);
    if (memory->since != 0)
        again = clock_sooner(again, scaling_next_reading(limits, memory, now));
    if (counts->starting > 0 || verdict->spawn > 0)
        again = clock_sooner(again, SCALING_BUSY_LOOK);
    if (limits->kind == SCALING_DYNAMIC && counts->serving > 0)
        again = clock_sooner(again, SCALING_BUSY_LOOK);
    if (verdict->limit == SCALING_AT_PROCESS_MAX) /* another pool may give way */
        again =
            clock_sooner(again, counts->waiting > 0 ? SCALING_BUSY_LOOK : scaling_next_tick(now));
    if (counts->post > 0 || (limits->kind == SCALING_ONDEMAND && counts->serving > 0))
        again = clock_sooner(again, scaling_next_tick(now));
    return again;
}

struct scaling_verdict scaling_decide(const struct scaling_limits *limits,
                                      const struct scaling_counts *counts,
                                      struct scaling_memory *memory, int64_t now)
{
    struct scaling_verdict verdict = {.over = scaling_minus(counts->post, limits->post_max)};
    unsigned counted = counts->starting + counts->idle + counts->serving + verdict.over;
    unsigned free = scaling_minus(limits->max_children, counted);
    unsigned need = scaling_need(limits, counts, free, &verdict.reason);
    unsigned may = MIN(free, counts->room);
    bool blocked = scaling_minus(counts->waiting, counts->idle + counts->starting) > may ||
                   (need > counts->room && free > counts->room);
    if (blocked)
        verdict.limit = free > counts->room ? SCALING_AT_PROCESS_MAX : SCALING_AT_MAX_CHILDREN;
    need = MIN(need, may);
    verdict.spawn = MIN(need, limits->max_spawn_rate);
    unsigned superfluous = verdict.spawn > 0 ? 0 : scaling_superfluous(limits, counts, counted);
    verdict.retire = scaling_retire(limits, superfluous, memory, now);
    if (verdict.retire > 0)
        verdict.reason = SCALING_SUPERFLUOUS;
    else if (verdict.spawn == 0)
        verdict.reason = SCALING_NOTHING;
    /* Not even where process.max leaves no room at present: nobody tells when it does again. */
    verdict.watch =
        limits->kind != SCALING_STATIC && verdict.limit == SCALING_NO_LIMIT && free > verdict.spawn;
    verdict.again =
        verdict.spawn < need ? SCALING_SOON : scaling_again(limits, counts, memory, &verdict, now);
    verdict.at_rest = verdict.again < 0;
    return verdict;
}
