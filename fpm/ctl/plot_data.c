/* plot_data.c: see plot_data.h. */
#include "fpm/ctl/plot_data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    PLOT_LINE_MAX = 1 << 20,
    /* Times longer than usual, in samples, that are a gap. */
    PLOT_GAP = 4,
    /* Moments that the usual interval is taken from. */
    PLOT_MOMENTS = 4096
};

struct plot_reader {
    struct plot_data *data;
    FILE *file;
    char *line;      /* PLOT_LINE_MAX bytes */
    size_t together; /* samples of a point */
    int64_t pid, time_ms;
};

/* The next line, without its newline; false at the end. One that is too long is empty. */
static bool plot_data_line(struct plot_reader *reader)
{
    if (fgets(reader->line, PLOT_LINE_MAX, reader->file) == NULL)
        return false;
    size_t length = strlen(reader->line);
    if (length > 0 && reader->line[length - 1] == '\n') {
        reader->line[length - 1] = '\0';
        return true;
    }
    int c = fgetc(reader->file);
    if (c != EOF)
        *reader->line = '\0';
    while (c != EOF && c != '\n')
        c = fgetc(reader->file);
    return true;
}

/* The moment of a sample, NULL for a line that is none. The caller drops it. */
static json_t *plot_data_sample(const struct plot_reader *reader, int64_t *time_ms)
{
    json_t *sample = json_loads(reader->line, 0, NULL);
    const json_t *pools = json_object_get(sample, "pools");
    *time_ms = status_read_number(sample, "time_ms");
    if (*time_ms > 0 && (json_is_array(pools) || json_is_null(pools)))
        return sample;
    json_decref(sample);
    return NULL;
}

static int plot_data_by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* First reading: how many there are, when, how far apart. */
static void plot_data_survey(struct plot_reader *reader)
{
    struct plot_data *data = reader->data;
    static int64_t apart[PLOT_MOMENTS];
    size_t known = 0;
    int64_t last = 0;
    while (plot_data_line(reader)) {
        int64_t time;
        json_t *sample = plot_data_sample(reader, &time);
        data->bad_lines += sample == NULL;
        if (sample == NULL)
            continue;
        json_decref(sample);
        if (data->samples++ == 0 || time < data->from_ms)
            data->from_ms = time;
        if (time > data->to_ms)
            data->to_ms = time;
        if (last != 0 && time > last && known < PLOT_MOMENTS)
            apart[known++] = time - last;
        last = time;
    }
    qsort(apart, known, sizeof *apart, plot_data_by_size);
    data->interval_ms = known > 0 ? apart[known / 2] : 1000;
}

/* The series of a pool, made if need be; NULL: there are too many. */
static struct plot_series *plot_data_series(struct plot_data *data, const char *name)
{
    for (size_t i = 0; i < data->count; i++)
        if (strcmp(data->pools[i].name, name) == 0)
            return &data->pools[i];
    if (data->count == PLOT_POOLS_MAX) {
        data->pools_left_out++;
        return NULL;
    }
    struct plot_series *series = &data->pools[data->count++];
    snprintf(series->name, sizeof series->name, "%s", name);
    return series;
}

/* A point at the end of the series; NULL = out of memory. */
static struct plot_point *plot_data_extend(struct plot_series *series)
{
    if (series->points == NULL || series->count == series->room) {
        size_t room = series->room > 0 ? 2 * series->room : 64;
        struct plot_point *points = realloc(series->points, room * sizeof *points);
        if (points == NULL)
            return NULL;
        series->points = points;
        series->room = room;
    }
    struct plot_point *point = &series->points[series->count++];
    memset(point, 0, sizeof *point);
    point->requests = -1;
    return point;
}

static double plot_data_known(int64_t number)
{
    return number > 0 ? (double)number : 0;
}

static double plot_data_higher(double a, int64_t b)
{
    return plot_data_known(b) > a ? (double)b : a;
}

static void plot_data_states(struct plot_point *point, const struct top_pool *pool)
{
    const int64_t states[PLOT_STATES] = {
        [PLOT_SERVING] = pool->serving,   [PLOT_POST_RESPONSE] = pool->post_response,
        [PLOT_SHUTDOWN] = pool->shutdown, [PLOT_STARTING] = pool->starting,
        [PLOT_EXITING] = pool->exiting,   [PLOT_UNKNOWN] = pool->unknown,
        [PLOT_IDLE] = pool->idle,
    };
    double before = point->samples;
    for (int i = 0; i < PLOT_STATES; i++)
        point->states[i] = (point->states[i] * before + plot_data_known(states[i])) / (before + 1);
    point->queue = plot_data_higher(point->queue, pool->listen_queue);
    point->limit = plot_data_higher(point->limit, pool->max_children);
    point->budget = plot_data_higher(point->budget, pool->post_response_max_children);
    point->samples++;
}

/* What was counted since the sample before. */
static void plot_data_count(struct plot_point *point, const struct top_pool *before,
                            const struct top_pool *now, int64_t span_ms)
{
    struct quantile_histogram answers;
    if (now->requests >= 0 && before->requests >= 0) {
        point->requests =
            (point->requests > 0 ? point->requests : 0) + now->requests - before->requests;
        point->requests_ms += span_ms;
    }
    if (quantile_between(&before->answer, &now->answer, &answers))
        quantile_add(&point->answers, &answers);
}

/* Does this sample go on from the last, of the same manager? */
static bool plot_data_follows(const struct plot_reader *reader, const struct plot_series *series,
                              const struct top_pool *pool)
{
    int64_t since = reader->time_ms - series->last_ms;
    return series->last_ms != 0 && since > 0 && since <= PLOT_GAP * reader->data->interval_ms &&
           pool->requests >= series->last.requests && pool->start_time == series->last.start_time;
}

static int plot_data_pool(struct plot_reader *reader, const json_t *from)
{
    struct top_pool pool;
    status_read_pool(from, &pool);
    struct plot_series *series = plot_data_series(reader->data, pool.name);
    if (series == NULL)
        return 0;
    bool follows = plot_data_follows(reader, series, &pool);
    struct plot_point *point = series->count > 0 ? &series->points[series->count - 1] : NULL;
    int64_t from_ms = follows ? series->last_ms : reader->time_ms - reader->data->interval_ms;
    if (point != NULL && !follows && from_ms < point->to_ms)
        from_ms = point->to_ms < reader->time_ms ? point->to_ms : reader->time_ms;
    if (point == NULL || !follows || point->samples >= reader->together) {
        point = plot_data_extend(series);
        if (point == NULL)
            return -1;
        point->from_ms = from_ms;
    }
    point->to_ms = reader->time_ms;
    plot_data_states(point, &pool);
    if (follows)
        plot_data_count(point, &series->last, &pool, reader->time_ms - series->last_ms);
    series->last = pool;
    series->last_ms = reader->time_ms;
    return 0;
}

/* Second reading. A pool that a sample does not have has a gap there. */
static int plot_data_fill(struct plot_reader *reader)
{
    struct plot_data *data = reader->data;
    int result = 0;
    while (result == 0 && plot_data_line(reader)) {
        json_t *sample = plot_data_sample(reader, &reader->time_ms);
        if (sample == NULL)
            continue;
        const json_t *pools = json_object_get(sample, "pools");
        int64_t pid = status_read_number(sample, "pid");
        for (size_t i = 0; i < data->count; i++)
            if (pid != reader->pid)
                data->pools[i].last_ms = 0;
        reader->pid = pid;
        for (size_t i = 0; result == 0 && i < json_array_size(pools); i++)
            result = plot_data_pool(reader, json_array_get(pools, i));
        for (size_t i = 0; i < data->count; i++)
            if (data->pools[i].last_ms != reader->time_ms)
                data->pools[i].last_ms = 0;
        json_decref(sample);
    }
    return result;
}

int plot_data_read(struct plot_data *data, FILE *file, char *error, size_t size)
{
    struct plot_reader reader = {.data = data, .file = file, .line = malloc(PLOT_LINE_MAX)};
    *data = (struct plot_data){0};
    if (reader.line == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    plot_data_survey(&reader);
    reader.together = (data->samples + PLOT_POINTS - 1) / PLOT_POINTS;
    int result = -1;
    if (ferror(file))
        snprintf(error, size, "cannot read: %s", strerror(errno));
    else if (data->samples == 0)
        snprintf(error, size, "has no samples; `overtimectl record` makes some");
    else if (fseek(file, 0, SEEK_SET) != 0)
        snprintf(error, size, "cannot be read twice: %s", strerror(errno));
    else if ((result = plot_data_fill(&reader)) != 0)
        snprintf(error, size, "out of memory");
    else if (data->count == 0) {
        snprintf(error, size, "has no pools: there was no manager while it was recorded");
        result = -1;
    }
    data->from_ms -= data->interval_ms;
    free(reader.line);
    return result;
}

void plot_data_free(struct plot_data *data)
{
    for (size_t i = 0; i < data->count; i++)
        free(data->pools[i].points);
    *data = (struct plot_data){0};
}
