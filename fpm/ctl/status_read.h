/* status_read.h: the manager's JSON as numbers and texts.
 *
 * Reads documents of `status` and `workers`, and lines of recorder.c; asks no manager and draws
 * nothing. Missing and null values are unknown; unknown keys are ignored. The answer is checked as
 * any input: a document with errors is refused with a sentence.
 */
#ifndef FPM_STATUS_READ_H
#define FPM_STATUS_READ_H

#include "fpm/util/quantile.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STATUS_READ_NAME_SIZE = 64,
    STATUS_READ_TEXT_SIZE = 1024
};

/* Numbers below 0 are unknown. */
struct status_read_pool {
    char name[STATUS_READ_NAME_SIZE];
    int64_t start_time, uptime_ms;
    int64_t max_children, post_response_max_children;
    int64_t starting, idle, serving, post_response, shutdown, exiting, unknown;
    int64_t listen_queue, over_budget_now, requests, post_response_requests;
    struct quantile_histogram answer;
};

struct status_read_worker {
    char pool[STATUS_READ_NAME_SIZE];
    char state[24];
    int64_t pid, thread; /* -1: the only thread */
    int64_t uptime_ms, state_ms, request_ms, requests, cpu_ms, memory_bytes;
    /* As the client and the application gave them: not fit for a terminal. */
    char method[24], uri[STATUS_READ_TEXT_SIZE], label[STATUS_READ_TEXT_SIZE];
};

struct status_read {
    int64_t pid;
    char state[24];
    struct status_read_pool *pools;
    size_t pool_count;
    struct status_read_worker *workers; /* one for each thread of those that have several */
    size_t worker_count;
};

/* These return 0, or -1 with a sentence; they add to *data. */
int status_read_status(struct status_read *data, const char *json, char *error, size_t size);
int status_read_workers(struct status_read *data, const char *json, char *error, size_t size);

void status_read_free(struct status_read *data);

#endif
