/* scale.c: see scale.h. */
#include "fpm/scale.h"

enum {
    SCALE_SOON = 1,        /* ms: the step was cut by pm.max_spawn_rate */
    SCALE_PATIENCE = 2,    /* ms: first look again at a queue, doubled up to */
    SCALE_IMPATIENCE = 64, /* ms */
    SCALE_BUSY_LOOK = 100, /* ms: dynamic, while requests are served */
    SCALE_TICK = 1000      /* ms: what needs no precision happens on whole seconds */
};

const char *scale_reason_name(enum scale_reason reason)
{
    static const char *const names[SCALE_REASON_COUNT] = {
        [SCALE_NOTHING] = "nothing to do",
        [SCALE_FIRST] = "the pool starts",
        [SCALE_WAITING] = "connections wait",
        [SCALE_SPARE] = "fewer idle than pm.min_spare_servers",
        [SCALE_MISSING] = "fewer than pm.max_children",
        [SCALE_POST] = "others work on after the response",
        [SCALE_SUPERFLUOUS] = "idle and not needed for pm.process_idle_timeout",
    };
    return reason < SCALE_REASON_COUNT ? names[reason] : "unknown";
}

static unsigned scale_least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned scale_minus(unsigned a, unsigned b)
{
    return a > b ? a - b : 0;
}

/* Workers that are missing, were there no limits. */
static unsigned scale_need(const struct scale_limits *limits, const struct scale_counts *counts,
                           unsigned free, enum scale_reason *reason)
{
    unsigned coming = counts->idle + counts->starting;
    unsigned waiting = scale_minus(counts->waiting, coming);
    unsigned first = scale_minus(counts->first, coming + counts->serving);
    unsigned spare = 0;
    if (limits->kind == SCALE_STATIC) {
        *reason = counts->post > 0 ? SCALE_POST : SCALE_MISSING;
        return free;
    }
    if (limits->kind == SCALE_DYNAMIC)
        spare = scale_minus(counts->waiting + limits->min_spare, coming);
    *reason = waiting > 0 ? SCALE_WAITING : spare > first ? SCALE_SPARE : SCALE_FIRST;
    unsigned most = spare > waiting ? spare : waiting;
    return first > most ? first : most;
}

/* Idle workers that the pool would not miss at this moment: what waits is about to be theirs. */
static unsigned scale_superfluous(const struct scale_limits *limits,
                                  const struct scale_counts *counts, unsigned counted)
{
    unsigned keep = limits->kind == SCALE_STATIC    ? limits->max_children
                    : limits->kind == SCALE_DYNAMIC ? limits->max_spare
                                                    : 0;
    unsigned others = counted - counts->idle;
    unsigned first = scale_minus(counts->first, others);
    keep = scale_least(keep > first ? keep : first, scale_minus(limits->max_children, others));
    return scale_minus(scale_minus(counts->idle, counts->waiting), keep);
}

/* The low-water mark: what was superfluous all the time is retired, all of it in one step. */
static unsigned scale_retire(const struct scale_limits *limits, unsigned superfluous,
                             struct scale_memory *memory, int64_t now)
{
    if (superfluous == 0) {
        memory->since = 0;
        return 0;
    }
    if (memory->since == 0) {
        memory->since = now;
        memory->low = superfluous;
    }
    memory->low = scale_least(memory->low, superfluous);
    if (now - memory->since < limits->idle_timeout)
        return 0;
    unsigned retire = memory->low;
    memory->since = superfluous > retire ? now : 0;
    memory->low = superfluous - retire;
    return retire;
}

/* A queue and a scoreboard are read one after the other, and a connection may be on its way from
 * one to the other: a queue that was seen is looked at again until it is empty. */
static int64_t scale_watch_queue(const struct scale_counts *counts, struct scale_memory *memory)
{
    if (counts->waiting == 0) {
        memory->patience = 0;
        return -1;
    }
    if (memory->patience == 0)
        memory->patience = SCALE_PATIENCE;
    else if (memory->patience < SCALE_IMPATIENCE)
        memory->patience *= 2;
    return memory->patience;
}

static int64_t scale_sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* ms until the next whole second. All pools have these in common: however many they are, they wake
 * the manager up once. */
static int64_t scale_next_tick(int64_t now)
{
    return SCALE_TICK - now % SCALE_TICK;
}

/* When the low-water mark is read next: with each tick, which is precise enough for a pool that
 * counts its patience in seconds. */
static int64_t scale_next_reading(const struct scale_limits *limits,
                                  const struct scale_memory *memory, int64_t now)
{
    int64_t left = memory->since + limits->idle_timeout - now;
    if (left > 0 && limits->idle_timeout < SCALE_TICK)
        return left;
    return scale_next_tick(now);
}

static int64_t scale_again(const struct scale_limits *limits, const struct scale_counts *counts,
                           struct scale_memory *memory, const struct scale_verdict *verdict,
                           int64_t now)
{
    int64_t again = -1;
    if (verdict->limit == SCALE_NO_LIMIT)
        again = scale_watch_queue(counts, memory);
    if (memory->since != 0)
        again = scale_sooner(again, scale_next_reading(limits, memory, now));
    if (counts->starting > 0 || verdict->spawn > 0)
        again = scale_sooner(again, SCALE_BUSY_LOOK);
    if (limits->kind == SCALE_DYNAMIC && counts->serving > 0)
        again = scale_sooner(again, SCALE_BUSY_LOOK);
    if (verdict->limit == SCALE_AT_PROCESS_MAX) /* another pool may give way */
        again = scale_sooner(again, counts->waiting > 0 ? SCALE_BUSY_LOOK : scale_next_tick(now));
    if (counts->post > 0 || (limits->kind == SCALE_ONDEMAND && counts->serving > 0))
        again = scale_sooner(again, scale_next_tick(now));
    return again;
}

struct scale_verdict scale_decide(const struct scale_limits *limits,
                                  const struct scale_counts *counts, struct scale_memory *memory,
                                  int64_t now)
{
    struct scale_verdict verdict = {.over = scale_minus(counts->post, limits->post_max)};
    unsigned counted = counts->starting + counts->idle + counts->serving + verdict.over;
    unsigned free = scale_minus(limits->max_children, counted);
    unsigned need = scale_need(limits, counts, free, &verdict.reason);
    unsigned may = scale_least(free, counts->room);
    bool blocked = scale_minus(counts->waiting, counts->idle + counts->starting) > may ||
                   (need > counts->room && free > counts->room);
    if (blocked)
        verdict.limit = free > counts->room ? SCALE_AT_PROCESS_MAX : SCALE_AT_MAX_CHILDREN;
    need = scale_least(need, may);
    verdict.spawn = scale_least(need, limits->max_spawn_rate);
    unsigned superfluous = verdict.spawn > 0 ? 0 : scale_superfluous(limits, counts, counted);
    verdict.retire = scale_retire(limits, superfluous, memory, now);
    if (verdict.retire > 0)
        verdict.reason = SCALE_SUPERFLUOUS;
    else if (verdict.spawn == 0)
        verdict.reason = SCALE_NOTHING;
    /* Not even where process.max leaves no room at present: nobody tells when it does again. */
    verdict.watch =
        limits->kind != SCALE_STATIC && verdict.limit == SCALE_NO_LIMIT && free > verdict.spawn;
    verdict.again =
        verdict.spawn < need ? SCALE_SOON : scale_again(limits, counts, memory, &verdict, now);
    verdict.at_rest = verdict.again < 0;
    return verdict;
}
