/* scaling.c: see scaling.h. */
#include "fpm/pool/scaling.h"

#include "fpm/util/invariant.h"
#include "sapi-shim/util/clock.h"

#include <sys/param.h>

enum {
    SCALING_SOON = 1,           /* ms: pm.max_spawn_rate cut the step short */
    SCALING_QUEUE_FIRST = 2,    /* ms until a queue is checked again, doubled up to */
    SCALING_QUEUE_LONGEST = 64, /* ms */
    SCALING_BUSY = 100,         /* ms: dynamic, while requests are served */
    SCALING_TICK = 1000         /* ms: what needs no precision happens on whole seconds */
};

const char *scaling_reason_name(enum scaling_reason reason)
{
    static const char *const names[SCALING_REASON_COUNT] = {
        [SCALING_NOTHING] = "nothing to do",
        [SCALING_FIRST] = "the pool starts",
        [SCALING_WAITING] = "connections wait",
        [SCALING_SPARE] = "fewer idle than pm.min_spare_servers",
        [SCALING_MISSING] = "fewer than pm.max_children",
        [SCALING_POST] = "other workers are in post-response work",
        [SCALING_SUPERFLUOUS] = "idle and not needed for pm.process_idle_timeout",
    };
    return reason < SCALING_REASON_COUNT ? names[reason] : "unknown";
}

static unsigned scaling_minus(unsigned a, unsigned b)
{
    return a > b ? a - b : 0;
}

/* Workers that are missing, without regard to limits. */
static unsigned scaling_need(const struct scaling_limits *limits,
                             const struct scaling_counts *counts, unsigned free,
                             enum scaling_reason *reason)
{
    unsigned coming = counts->idle + counts->partly + counts->starting;
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

/* Idle workers that the pool does not need now, not counting those that waiting connections need.
 */
static unsigned scaling_superfluous(const struct scaling_limits *limits,
                                    const struct scaling_counts *counts, unsigned counted)
{
    unsigned keep = limits->kind == SCALING_STATIC    ? limits->max_children
                    : limits->kind == SCALING_DYNAMIC ? limits->max_spare
                                                      : 0;
    unsigned others = counted - counts->idle;
    if (limits->kind == SCALING_DYNAMIC) /* they are spare workers, too */
        keep = scaling_minus(keep, counts->partly);
    unsigned first = scaling_minus(counts->first, others);
    keep = MIN(keep > first ? keep : first, scaling_minus(limits->max_children, others));
    return scaling_minus(scaling_minus(counts->idle, counts->waiting), keep);
}

/* Retires in one step as many workers as were superfluous for all of the idle timeout. */
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

/* The queue and the scoreboard are read one after the other, and a connection may be on its way
 * from one to the other: a queue that was not empty is checked again until it is. */
static int64_t scaling_watch_queue(const struct scaling_counts *counts,
                                   struct scaling_memory *memory)
{
    if (counts->waiting == 0) {
        memory->queue_check = 0;
        return -1;
    }
    if (memory->queue_check == 0)
        memory->queue_check = SCALING_QUEUE_FIRST;
    else if (memory->queue_check < SCALING_QUEUE_LONGEST)
        memory->queue_check *= 2;
    return memory->queue_check;
}

/* ms until the next whole second, at which all pools wake the manager together. */
static int64_t scaling_next_tick(int64_t now)
{
    return SCALING_TICK - now % SCALING_TICK;
}

/* ms until superfluous workers are counted again: at each tick, unless the timeout is shorter. */
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
        again = clock_sooner(again, SCALING_BUSY);
    unsigned serving = counts->serving + counts->partly;
    if (limits->kind == SCALING_DYNAMIC && serving > 0)
        again = clock_sooner(again, SCALING_BUSY);
    if (verdict->limit == SCALING_AT_PROCESS_MAX) /* another pool may stop workers */
        again = clock_sooner(again, counts->waiting > 0 ? SCALING_BUSY : scaling_next_tick(now));
    if (counts->post > 0 || (limits->kind == SCALING_ONDEMAND && serving > 0))
        again = clock_sooner(again, scaling_next_tick(now));
    return again;
}

struct scaling_verdict scaling_decide(const struct scaling_limits *limits,
                                      const struct scaling_counts *counts,
                                      struct scaling_memory *memory, int64_t now)
{
    struct scaling_verdict verdict = {.over = scaling_minus(counts->post, limits->post_max)};
    unsigned counted =
        counts->starting + counts->idle + counts->partly + counts->serving + verdict.over;
    unsigned free = scaling_minus(limits->max_children, counted);
    unsigned need = scaling_need(limits, counts, free, &verdict.reason);
    unsigned may = MIN(free, counts->free_slots);
    unsigned coming = counts->idle + counts->partly + counts->starting;
    bool blocked = scaling_minus(counts->waiting, coming) > may ||
                   (need > counts->free_slots && free > counts->free_slots);
    if (blocked)
        verdict.limit =
            free > counts->free_slots ? SCALING_AT_PROCESS_MAX : SCALING_AT_MAX_CHILDREN;
    need = MIN(need, may);
    verdict.spawn = MIN(need, limits->max_spawn_rate);
    unsigned superfluous = verdict.spawn > 0 ? 0 : scaling_superfluous(limits, counts, counted);
    verdict.retire = scaling_retire(limits, superfluous, memory, now);
    if (verdict.retire > 0)
        verdict.reason = SCALING_SUPERFLUOUS;
    else if (verdict.spawn == 0)
        verdict.reason = SCALING_NOTHING;
    /* Nor while process.max leaves no free slot: no event says when there is one again. */
    verdict.watch =
        limits->kind != SCALING_STATIC && verdict.limit == SCALING_NO_LIMIT && free > verdict.spawn;
    verdict.again =
        verdict.spawn < need ? SCALING_SOON : scaling_again(limits, counts, memory, &verdict, now);
    verdict.at_rest = verdict.again < 0;
    INVARIANT(verdict.spawn == 0 || verdict.retire == 0);
    INVARIANT(verdict.spawn <= counts->free_slots && verdict.spawn <= limits->max_children);
    INVARIANT(verdict.retire <= counts->idle);
    INVARIANT(verdict.reason < SCALING_REASON_COUNT);
    return verdict;
}
