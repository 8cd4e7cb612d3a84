/* load_tally.c: see load_tally.h. */
#include "tests/bench/load_tally.h"

#include <stdlib.h>
#include <string.h>

static const char *const outcome_names[LOAD_OUTCOMES] = {
    [LOAD_OK] = "ok",
    [LOAD_REFUSED] = "refused",
    [LOAD_CONNECT] = "connect",
    [LOAD_UNSENT] = "unsent",
    [LOAD_RESET] = "reset",
    [LOAD_CLOSED_UNANSWERED] = "closed",
    [LOAD_TRUNCATED] = "truncated",
    [LOAD_WRONG] = "wrong",
    [LOAD_TRAILING] = "trailing",
    [LOAD_TIMEOUT] = "timeout",
};

static int sample_add(struct load_sample *sample, int64_t value)
{
    if (sample->size == sample->room) {
        size_t room = sample->room == 0 ? 4096 : sample->room * 2;
        int64_t *values = realloc(sample->values, room * sizeof *values);
        if (values == NULL)
            return -1;
        sample->values = values;
        sample->room = room;
    }
    sample->values[sample->size++] = value;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The smallest value that at least this share of a sorted sample does not exceed. */
static int64_t sample_rank(const struct load_sample *sample, unsigned per_mille)
{
    if (sample->size == 0)
        return 0;
    size_t rank = (sample->size * per_mille + 999) / 1000;
    return sample->values[rank == 0 ? 0 : rank - 1];
}

int load_tally_open(struct load_tally *tally, const struct load_plan *plan)
{
    *tally = (struct load_tally){.plan = plan};
    if (plan->trace == NULL)
        return 0;
    tally->trace = fopen(plan->trace, "we");
    if (tally->trace == NULL)
        return -1;
    fputs("kind outcome due start sent first end latency_us\n", tally->trace);
    return 0;
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static double us(int64_t ns)
{
    return (double)ns / 1e3;
}

static void note_worst(struct load_tally *tally, const struct load_visit *visit)
{
    size_t at = tally->worst_size;

    if (at == LOAD_WORST) {
        if (visit->latency <= tally->worst[at - 1].latency)
            return;
        at--;
    } else {
        tally->worst_size++;
    }
    for (; at > 0 && tally->worst[at - 1].latency < visit->latency; at--)
        tally->worst[at] = tally->worst[at - 1];
    tally->worst[at] = *visit;
}

static void note_failed(struct load_tally *tally, const struct load_visit *visit)
{
    if (tally->failed_size < LOAD_FAILED)
        tally->failed[tally->failed_size++] = *visit;
}

void load_tally_visit(struct load_tally *tally, const struct load_visit *visit)
{
    struct load_count *count = &tally->kinds[visit->kind];

    count->outcomes[visit->outcome]++;
    if (sample_add(&tally->lags, visit->start - visit->due) != 0)
        tally->short_of_memory = true;
    if (visit->outcome != LOAD_OK)
        note_failed(tally, visit);
    else if (sample_add(&count->latencies, visit->latency) != 0)
        tally->short_of_memory = true;
    else
        note_worst(tally, visit);
    if (tally->trace != NULL)
        fprintf(tally->trace, "%s %s %.6f %.6f %.6f %.6f %.6f %.1f\n",
                tally->plan->kinds[visit->kind].name, outcome_names[visit->outcome],
                seconds(visit->due), seconds(visit->start), seconds(visit->sent),
                seconds(visit->first), seconds(visit->end), us(visit->latency));
}

void load_tally_spoil(struct load_tally *tally, size_t kind, int64_t now)
{
    struct load_visit visit = {.kind = kind,
                               .outcome = LOAD_TRAILING,
                               .detail = "bytes on an idle kept connection",
                               .end = now};

    if (tally->kinds[kind].outcomes[LOAD_OK] > 0)
        tally->kinds[kind].outcomes[LOAD_OK]--;
    tally->kinds[kind].outcomes[LOAD_TRAILING]++;
    note_failed(tally, &visit);
}

static void print_sample(FILE *out, const char *name, struct load_sample *sample)
{
    double sum = 0;

    if (sample->size > 0)
        qsort(sample->values, sample->size, sizeof *sample->values, by_value);
    for (size_t i = 0; i < sample->size; i++)
        sum += (double)sample->values[i];
    fprintf(out, "\"%s\": {\"min\": %.1f, \"mean\": %.1f", name,
            sample->size == 0 ? 0 : us(sample->values[0]),
            sample->size == 0 ? 0 : sum / (double)sample->size / 1e3);
    const unsigned ranks[] = {500, 900, 950, 990};
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++)
        fprintf(out, ", \"p%u\": %.1f", ranks[i] / 10, us(sample_rank(sample, ranks[i])));
    fprintf(out, ", \"p99.9\": %.1f, \"max\": %.1f}", us(sample_rank(sample, 999)),
            us(sample_rank(sample, 1000)));
}

static void print_count(FILE *out, struct load_count *count)
{
    uint64_t failed = 0;

    for (int i = LOAD_OK + 1; i < LOAD_OUTCOMES; i++)
        failed += count->outcomes[i];
    fprintf(out, "\"count\": %ju, \"ok\": %ju, \"failed\": %ju, \"failures\": {",
            (uintmax_t)(failed + count->outcomes[LOAD_OK]), (uintmax_t)count->outcomes[LOAD_OK],
            (uintmax_t)failed);
    for (int i = LOAD_OK + 1; i < LOAD_OUTCOMES; i++)
        fprintf(out, "%s\"%s\": %ju", i == LOAD_OK + 1 ? "" : ", ", outcome_names[i],
                (uintmax_t)count->outcomes[i]);
    fputs("}, ", out);
    print_sample(out, "latency_us", &count->latencies);
}

static void print_visits(FILE *out, const struct load_tally *tally, const char *name,
                         const struct load_visit *visits, size_t size)
{
    fprintf(out, ",\n \"%s\": [", name);
    for (size_t i = 0; i < size; i++) {
        const struct load_visit *visit = &visits[i];
        fprintf(out,
                "%s\n  {\"kind\": \"%s\", \"outcome\": \"%s\", \"detail\": \"%s\", \"due\": %.6f, "
                "\"start\": %.6f, \"sent\": %.6f, \"first\": %.6f, \"end\": %.6f, "
                "\"latency_us\": %.1f}",
                i == 0 ? "" : ",", tally->plan->kinds[visit->kind].name,
                outcome_names[visit->outcome], visit->detail, seconds(visit->due),
                seconds(visit->start), seconds(visit->sent), seconds(visit->first),
                seconds(visit->end), us(visit->latency));
    }
    fputs("]", out);
}

/* All kinds in one. */
static int add_up(struct load_count *sum, const struct load_tally *tally)
{
    for (size_t i = 0; i < tally->plan->kind_count; i++) {
        const struct load_count *count = &tally->kinds[i];
        for (int k = 0; k < LOAD_OUTCOMES; k++)
            sum->outcomes[k] += count->outcomes[k];
        for (size_t k = 0; k < count->latencies.size; k++)
            if (sample_add(&sum->latencies, count->latencies.values[k]) != 0)
                return -1;
    }
    return 0;
}

static void print_run(FILE *out, struct load_tally *tally, const struct load_count *sum)
{
    double length = seconds(tally->end - tally->begin);

    fprintf(out,
            " \"begin\": %.6f, \"end\": %.6f, \"seconds\": %.6f, \"rate\": %.1f, "
            "\"connections\": %ju, \"in_flight_most\": %u,\n"
            " \"backlog_full\": %ju, \"delayed\": %ju, \"reconnects\": %ju, \"closed_idle\": %ju, "
            "\"stderr_bytes\": %ju,\n ",
            seconds(tally->begin), seconds(tally->end), length,
            length > 0 ? (double)sum->outcomes[LOAD_OK] / length : 0, (uintmax_t)tally->connections,
            tally->in_flight_most, (uintmax_t)tally->backlog_full, (uintmax_t)tally->delayed,
            (uintmax_t)tally->reconnects, (uintmax_t)tally->closed_idle,
            (uintmax_t)tally->messages);
    print_sample(out, "lag_us", &tally->lags);
}

int load_tally_report(struct load_tally *tally, FILE *out)
{
    struct load_count sum = {0};
    bool whole = add_up(&sum, tally) == 0 && !tally->short_of_memory;

    fputs("{", out);
    print_run(out, tally, &sum);
    fputs(",\n ", out);
    print_count(out, &sum);
    fputs(",\n \"kinds\": {", out);
    for (size_t i = 0; i < tally->plan->kind_count; i++) {
        fprintf(out, "%s\n  \"%s\": {", i == 0 ? "" : ",", tally->plan->kinds[i].name);
        print_count(out, &tally->kinds[i]);
        fputs("}", out);
    }
    fputs("}", out);
    print_visits(out, tally, "worst", tally->worst, tally->worst_size);
    print_visits(out, tally, "failed_requests", tally->failed, tally->failed_size);
    fputs("}\n", out);
    free(sum.latencies.values);
    return whole && fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

void load_tally_close(struct load_tally *tally)
{
    if (tally->trace != NULL)
        fclose(tally->trace);
    tally->trace = NULL;
    for (size_t i = 0; i < LOAD_KINDS_MAX; i++)
        free(tally->kinds[i].latencies.values);
    free(tally->lags.values);
}
