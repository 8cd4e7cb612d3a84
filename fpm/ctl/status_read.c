/* status_read.c: see status_read.h. */
#include "fpm/ctl/status_read.h"

#include "sapi-shim/util/escape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* More than any manager has; an answer with more is cut there. */
    STATUS_READ_ROWS_MAX = 1 << 17
};

/* A number whose field is called as its key. */
struct status_read_field {
    const char *key;
    size_t offset;
};
#define FIELD(of, name)                                                                            \
    {                                                                                              \
#name, offsetof(struct status_read_##of, name)                                             \
    }

static const struct status_read_field status_read_pool_fields[] = {
    FIELD(pool, start_time),
    FIELD(pool, uptime_ms),
    FIELD(pool, max_children),
    FIELD(pool, post_response_max_children),
    FIELD(pool, starting),
    FIELD(pool, idle),
    FIELD(pool, serving),
    FIELD(pool, post_response),
    FIELD(pool, shutdown),
    FIELD(pool, exiting),
    FIELD(pool, unknown),
    FIELD(pool, listen_queue),
    FIELD(pool, over_budget_now),
    FIELD(pool, requests),
    FIELD(pool, post_response_requests),
    {NULL, 0}};

/* The fields of the process, then those of its activity. */
static const struct status_read_field status_read_process_fields[] = {FIELD(worker, pid),
                                                                      FIELD(worker, uptime_ms),
                                                                      FIELD(worker, cpu_ms),
                                                                      FIELD(worker, memory_bytes),
                                                                      {NULL, 0}};
static const struct status_read_field status_read_doing_fields[] = {
    FIELD(worker, state_ms), FIELD(worker, request_ms), FIELD(worker, requests), {NULL, 0}};

static int64_t status_read_number(const json_t *from, const char *key)
{
    const json_t *value = json_object_get(from, key);
    double number = json_is_number(value) ? json_number_value(value) : -1;
    return number >= 0 && number < 9e18 ? (int64_t)number : -1;
}

static void status_read_text(const json_t *from, const char *key, char *out, size_t size)
{
    const json_t *value = json_object_get(from, key);
    const char *text = json_string_value(value);
    size_t length = text != NULL ? json_string_length(value) : 0, used = 0;
    while (used < length) {
        size_t bytes = escape_utf8_length(text + used, length - used);
        if (bytes == 0 || text[used] == '\0' || used + bytes >= size)
            break;
        used += bytes;
    }
    if (used > 0)
        memcpy(out, text, used);
    out[used] = '\0';
}

static void status_read_numbers(const json_t *from, const struct status_read_field *field,
                                void *out)
{
    for (; field->key != NULL; field++) {
        int64_t number = status_read_number(from, field->key);
        memcpy((char *)out + field->offset, &number, sizeof number);
    }
}

/* Buckets that are not given are empty. */
static void status_read_histogram(const json_t *bounds, const json_t *buckets,
                                  struct quantile_histogram *out)
{
    size_t count = json_array_size(bounds), given = json_array_size(buckets);
    memset(out, 0, sizeof *out);
    if (count == 0 || count > QUANTILE_BUCKETS_MAX || given > count + 1 || !json_is_array(buckets))
        return;
    for (size_t i = 0; i < count; i++) {
        out->bounds[i] = json_number_value(json_array_get(bounds, i));
        if (!isfinite(out->bounds[i]) || out->bounds[i] <= (i > 0 ? out->bounds[i - 1] : 0))
            return;
    }
    for (size_t i = 0; i < given; i++) {
        json_int_t number = json_integer_value(json_array_get(buckets, i));
        out->buckets[i] = number > 0 ? (uint64_t)number : 0;
    }
    out->bounds_count = count;
}

/* The array of this name in the document; NULL with a sentence. The caller drops *root. */
static json_t *status_read_array(const char *json, const char *key, json_t **root, char *error,
                                 size_t size)
{
    json_error_t why;
    *root = json_loads(json, 0, &why);
    json_t *array = json_object_get(*root, key);
    if (*root == NULL)
        snprintf(error, size, "the manager's answer is no JSON: %.100s", why.text);
    else if (!json_is_array(array))
        snprintf(error, size, "the manager's answer has no \"%s\": is it as old as this program?",
                 key);
    return json_is_array(array) ? array : NULL;
}

int status_read_status(struct status_read *data, const char *json, char *error, size_t size)
{
    json_t *root, *pools = status_read_array(json, "pools", &root, error, size);
    size_t count = json_array_size(pools);
    if (count > STATUS_READ_ROWS_MAX)
        count = STATUS_READ_ROWS_MAX;
    if (pools != NULL && (data->pools = calloc(count + 1, sizeof *data->pools)) == NULL)
        snprintf(error, size, "out of memory");
    if (data->pools != NULL) {
        data->pid = status_read_number(root, "pid");
        status_read_text(root, "state", data->state, sizeof data->state);
        data->pool_count = count;
    }
    for (size_t i = 0; data->pools != NULL && i < data->pool_count; i++) {
        const json_t *from = json_array_get(pools, i);
        const json_t *histograms = json_object_get(from, "histograms");
        struct status_read_pool *pool = &data->pools[i];
        status_read_text(from, "pool", pool->name, sizeof pool->name);
        status_read_numbers(from, status_read_pool_fields, pool);
        status_read_histogram(json_object_get(histograms, "bounds_ms"),
                              json_object_get(json_object_get(histograms, "answer"), "buckets"),
                              &pool->answer);
    }
    json_decref(root);
    return data->pools != NULL ? 0 : -1;
}

static size_t status_read_rows(const json_t *worker)
{
    size_t threads = json_array_size(json_object_get(worker, "each"));
    return threads > 1 ? threads : 1;
}

/* One row for each thread, all with the numbers of their process. Returns their number. */
static size_t status_read_worker(const json_t *from, struct status_read_worker *rows)
{
    const json_t *each = json_object_get(from, "each");
    size_t count = status_read_rows(from);
    for (size_t i = 0; i < count; i++) {
        struct status_read_worker *row = &rows[i];
        const json_t *doing = count > 1 ? json_array_get(each, i) : from;
        status_read_text(from, "pool", row->pool, sizeof row->pool);
        status_read_numbers(from, status_read_process_fields, row);
        row->thread = count > 1 ? (int64_t)i : -1;
        status_read_numbers(doing, status_read_doing_fields, row);
        status_read_text(doing, "state", row->state, sizeof row->state);
        status_read_text(doing, "method", row->method, sizeof row->method);
        status_read_text(doing, "uri", row->uri, sizeof row->uri);
        status_read_text(doing, "label", row->label, sizeof row->label);
    }
    return count;
}

int status_read_workers(struct status_read *data, const char *json, char *error, size_t size)
{
    json_t *root, *workers = status_read_array(json, "workers", &root, error, size);
    size_t rows = 0;
    for (size_t i = 0; i < json_array_size(workers); i++)
        rows += status_read_rows(json_array_get(workers, i));
    if (rows > STATUS_READ_ROWS_MAX)
        rows = STATUS_READ_ROWS_MAX;
    if (workers != NULL && (data->workers = calloc(rows + 1, sizeof *data->workers)) == NULL)
        snprintf(error, size, "out of memory");
    for (size_t i = 0; data->workers != NULL && i < json_array_size(workers); i++) {
        const json_t *worker = json_array_get(workers, i);
        if (data->worker_count + status_read_rows(worker) > rows)
            break;
        data->worker_count += status_read_worker(worker, data->workers + data->worker_count);
    }
    json_decref(root);
    return data->workers != NULL ? 0 : -1;
}

void status_read_free(struct status_read *data)
{
    free(data->pools);
    free(data->workers);
    *data = (struct status_read){0};
}
