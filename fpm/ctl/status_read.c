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

struct status_read_field {
    const char *key;
    size_t offset;
};

static const struct status_read_field status_read_pool_fields[] = {
    {"start_time", offsetof(struct status_read_pool, start_time)},
    {"uptime_ms", offsetof(struct status_read_pool, uptime_ms)},
    {"max_children", offsetof(struct status_read_pool, max_children)},
    {"post_response_max_children", offsetof(struct status_read_pool, post_response_max_children)},
    {"starting", offsetof(struct status_read_pool, starting)},
    {"idle", offsetof(struct status_read_pool, idle)},
    {"serving", offsetof(struct status_read_pool, serving)},
    {"post_response", offsetof(struct status_read_pool, post_response)},
    {"shutdown", offsetof(struct status_read_pool, shutdown)},
    {"exiting", offsetof(struct status_read_pool, exiting)},
    {"unknown", offsetof(struct status_read_pool, unknown)},
    {"listen_queue", offsetof(struct status_read_pool, listen_queue)},
    {"over_budget_now", offsetof(struct status_read_pool, over_budget_now)},
    {"requests", offsetof(struct status_read_pool, requests)},
    {"post_response_requests", offsetof(struct status_read_pool, post_response_requests)},
    {NULL, 0},
};

/* The fields of the process, then those of its activity. */
static const struct status_read_field status_read_process_fields[] = {
    {"pid", offsetof(struct status_read_worker, pid)},
    {"uptime_ms", offsetof(struct status_read_worker, uptime_ms)},
    {"cpu_ms", offsetof(struct status_read_worker, cpu_ms)},
    {"memory_bytes", offsetof(struct status_read_worker, memory_bytes)},
    {NULL, 0},
};
static const struct status_read_field status_read_doing_fields[] = {
    {"state_ms", offsetof(struct status_read_worker, state_ms)},
    {"request_ms", offsetof(struct status_read_worker, request_ms)},
    {"requests", offsetof(struct status_read_worker, requests)},
    {NULL, 0},
};

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

static void status_read_pool(const json_t *from, struct status_read_pool *pool)
{
    const json_t *histograms = json_object_get(from, "histograms");
    const json_t *answer = json_object_get(histograms, "answer");
    memset(pool, 0, sizeof *pool);
    status_read_text(from, "pool", pool->name, sizeof pool->name);
    status_read_text(from, "process_manager", pool->manner, sizeof pool->manner);
    status_read_numbers(from, status_read_pool_fields, pool);
    status_read_histogram(json_object_get(histograms, "bounds_ms"),
                          json_object_get(answer, "buckets"), &pool->answer);
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

static int status_read_memory(char *error, size_t size)
{
    snprintf(error, size, "out of memory");
    return -1;
}

int status_read_status(struct status_read *data, const char *json, char *error, size_t size)
{
    json_t *root, *pools = status_read_array(json, "pools", &root, error, size);
    size_t count = json_array_size(pools);
    int result = pools != NULL ? 0 : -1;
    if (count > STATUS_READ_ROWS_MAX)
        count = STATUS_READ_ROWS_MAX;
    if (result == 0) {
        data->pid = status_read_number(root, "pid");
        status_read_text(root, "state", data->state, sizeof data->state);
        data->pools = calloc(count + 1, sizeof *data->pools);
        data->pool_count = data->pools != NULL ? count : 0;
        result = data->pools != NULL ? 0 : status_read_memory(error, size);
    }
    for (size_t i = 0; i < data->pool_count; i++)
        status_read_pool(json_array_get(pools, i), &data->pools[i]);
    json_decref(root);
    return result;
}

static void status_read_doing(const json_t *from, struct status_read_worker *worker)
{
    status_read_numbers(from, status_read_doing_fields, worker);
    status_read_text(from, "state", worker->state, sizeof worker->state);
    status_read_text(from, "method", worker->method, sizeof worker->method);
    status_read_text(from, "uri", worker->uri, sizeof worker->uri);
    status_read_text(from, "label", worker->label, sizeof worker->label);
}

static size_t status_read_rows(const json_t *worker)
{
    size_t threads = json_array_size(json_object_get(worker, "each"));
    return threads > 1 ? threads : 1;
}

/* One row for each thread, all with the numbers of their process. */
static void status_read_worker(const json_t *from, struct status_read_worker *rows)
{
    const json_t *each = json_object_get(from, "each");
    size_t count = status_read_rows(from);
    for (size_t i = 0; i < count; i++) {
        struct status_read_worker *row = &rows[i];
        status_read_text(from, "pool", row->pool, sizeof row->pool);
        status_read_numbers(from, status_read_process_fields, row);
        row->thread = count > 1 ? (int64_t)i : -1;
        status_read_doing(count > 1 ? json_array_get(each, i) : from, row);
    }
}

int status_read_workers(struct status_read *data, const char *json, char *error, size_t size)
{
    json_t *root, *workers = status_read_array(json, "workers", &root, error, size);
    size_t rows = 0, used = 0;
    int result = workers != NULL ? 0 : -1;
    for (size_t i = 0; i < json_array_size(workers); i++)
        rows += status_read_rows(json_array_get(workers, i));
    if (rows > STATUS_READ_ROWS_MAX)
        rows = STATUS_READ_ROWS_MAX;
    if (result == 0) {
        data->workers = calloc(rows + 1, sizeof *data->workers);
        result = data->workers != NULL ? 0 : status_read_memory(error, size);
    }
    for (size_t i = 0; result == 0 && i < json_array_size(workers); i++) {
        const json_t *worker = json_array_get(workers, i);
        if (used + status_read_rows(worker) > rows)
            break;
        status_read_worker(worker, data->workers + used);
        used += status_read_rows(worker);
    }
    data->worker_count = used;
    json_decref(root);
    return result;
}

void status_read_free(struct status_read *data)
{
    free(data->pools);
    free(data->workers);
    *data = (struct status_read){0};
}
