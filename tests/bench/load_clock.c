/* load_clock.c: see load_clock.h. */
#include "tests/bench/load_clock.h"

#include <math.h>

/* splitmix64: small, and good enough for arrivals. */
static uint64_t draw(struct load_clock *clock)
{
    uint64_t value = clock->random += 0x9E3779B97F4A7C15u;
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
    value = (value ^ value >> 27) * 0x94D049BB133111EBu;
    return value ^ value >> 31;
}

/* In (0, 1]. */
static double draw_unit(struct load_clock *clock)
{
    return ((double)(draw(clock) >> 11) + 1) / 9007199254740992.0;
}

void load_clock_start(struct load_clock *clock, const struct load_plan *plan, int64_t begin)
{
    *clock = (struct load_clock){.plan = plan, .random = plan->seed, .begin = begin, .next = begin};
}

void load_clock_step(struct load_clock *clock)
{
    const struct load_plan *plan = clock->plan;

    clock->given++;
    switch (plan->pattern) {
    case LOAD_OPEN:
        if (plan->poisson)
            clock->next += (int64_t)(-log(draw_unit(clock)) / plan->rate * 1e9);
        else
            clock->next = clock->begin + (int64_t)((double)clock->given / plan->rate * 1e9);
        break;
    case LOAD_BURST:
        clock->next = clock->begin + (int64_t)(clock->given / plan->burst) * plan->every;
        break;
    case LOAD_CLOSED:
        break;
    }
    if ((plan->count > 0 && clock->given >= plan->count) ||
        (plan->length > 0 && clock->next >= clock->begin + plan->length))
        load_clock_stop(clock);
}

void load_clock_stop(struct load_clock *clock)
{
    clock->next = INT64_MAX;
}

size_t load_clock_kind(struct load_clock *clock)
{
    const struct load_plan *plan = clock->plan;
    double sum = 0;

    if (plan->kind_count == 1)
        return 0;
    for (size_t i = 0; i < plan->kind_count; i++)
        sum += plan->kinds[i].weight;
    double at = draw_unit(clock) * sum;
    for (size_t i = 0; i + 1 < plan->kind_count; i++) {
        at -= plan->kinds[i].weight;
        if (at <= 0)
            return i;
    }
    return plan->kind_count - 1;
}
