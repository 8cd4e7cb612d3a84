/* top_view.c: see top_view.h. */
#include "fpm/ctl/top_view.h"

#include "sapi-shim/util/escape.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOP_BAR = 24,
    TOP_POOL_WIDTH = 16,
    TOP_LINE = 2 * STATUS_READ_TEXT_SIZE * 4 + 512, /* each byte of URI and label may become four */
    TOP_WORD = 32
};

/* ---- words ---- */

static const char *top_view_count(int64_t number, char out[TOP_WORD])
{
    if (number < 0)
        snprintf(out, TOP_WORD, "-");
    else
        snprintf(out, TOP_WORD, "%" PRId64, number);
    return out;
}

/* At most eight characters: 350ms, 12.3s, 4m05s, 3h07m, 12d3h. */
static const char *top_view_span(int64_t ms, char out[TOP_WORD])
{
    int64_t s = ms / 1000;
    if (ms < 0)
        snprintf(out, TOP_WORD, "-");
    else if (ms < 1000)
        snprintf(out, TOP_WORD, "%" PRId64 "ms", ms);
    else if (s < 60)
        snprintf(out, TOP_WORD, "%" PRId64 ".%" PRId64 "s", s, ms / 100 % 10);
    else if (s < 3600)
        snprintf(out, TOP_WORD, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, TOP_WORD, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, TOP_WORD, "%" PRId64 "d%" PRId64 "h", s / 86400, s / 3600 % 24);
    return out;
}

static const char *top_view_bytes(int64_t bytes, char out[TOP_WORD])
{
    static const char units[] = "BKMGT";
    double number = (double)bytes;
    size_t unit = 0;
    while (number >= 1000 && units[unit + 1] != '\0') {
        number /= 1024;
        unit++;
    }
    if (bytes < 0)
        snprintf(out, TOP_WORD, "-");
    else
        snprintf(out, TOP_WORD, number < 10 && unit > 0 ? "%.1f%c" : "%.0f%c", number, units[unit]);
    return out;
}

/* A bound within which a share of the answers was, with a fraction if it is short. */
static const char *top_view_ms(double ms, char out[TOP_WORD])
{
    if (ms < 0)
        snprintf(out, TOP_WORD, "-");
    else if (isinf(ms))
        snprintf(out, TOP_WORD, "longer");
    else if (ms < 10)
        snprintf(out, TOP_WORD, "%.1fms", ms);
    else if (ms > 1000 && ms < 10000 && fmod(ms, 1000) > 0)
        snprintf(out, TOP_WORD, "%.1fs", ms / 1000);
    else
        top_view_span((int64_t)ms, out);
    return out;
}

/* ---- what has changed ---- */

static const struct status_read_pool *top_view_old_pool(const struct status_read *before,
                                                        const struct status_read_pool *pool)
{
    for (size_t i = 0; before != NULL && i < before->pool_count; i++)
        if (strcmp(before->pools[i].name, pool->name) == 0 &&
            before->pools[i].start_time == pool->start_time)
            return &before->pools[i];
    return NULL;
}

/* Requests a second, negative = unknown. */
static double top_view_rate(const struct status_read_pool *pool, const struct status_read *before,
                            double seconds)
{
    const struct status_read_pool *old = top_view_old_pool(before, pool);
    if (old == NULL || seconds <= 0 || old->requests < 0 || pool->requests < old->requests)
        return -1;
    return (double)(pool->requests - old->requests) / seconds;
}

/* Percent of one processor since the reading before, negative = unknown. */
static double top_view_cpu(const struct status_read_worker *worker,
                           const struct status_read *before, double seconds)
{
    for (size_t i = 0; before != NULL && seconds > 0 && i < before->worker_count; i++) {
        const struct status_read_worker *old = &before->workers[i];
        if (old->pid == worker->pid && old->cpu_ms >= 0 && old->cpu_ms <= worker->cpu_ms &&
            old->uptime_ms <= worker->uptime_ms)
            return (double)(worker->cpu_ms - old->cpu_ms) / seconds / 10;
    }
    return -1;
}

/* ---- above the workers ---- */

/* The sum over all pools, of numbers that are known. */
static int64_t top_view_total(const struct status_read *now, size_t offset)
{
    int64_t total = 0, number;
    for (size_t i = 0; i < now->pool_count; i++) {
        memcpy(&number, (const char *)&now->pools[i] + offset, sizeof number);
        total += number > 0 ? number : 0;
    }
    return total;
}

#define TOP_TOTAL(now, member) top_view_total(now, offsetof(struct status_read_pool, member))

static void top_view_header(const struct status_read *now, const struct status_read *before,
                            const struct top_view *view, top_put_fn *put, void *context)
{
    char line[512], up[TOP_WORD] = "-", state[64];
    int64_t uptime = -1;
    double rate = 0;
    bool known = false;
    for (size_t i = 0; i < now->pool_count; i++) {
        double one = top_view_rate(&now->pools[i], before, view->seconds);
        uptime = now->pools[i].uptime_ms > uptime ? now->pools[i].uptime_ms : uptime;
        known = known || one >= 0;
        rate += one >= 0 ? one : 0;
    }
    snprintf(line, sizeof line, "overtime: process %" PRId64 ", %s, up %s, %zu pool%s   %s",
             now->pid, escape_show(state, sizeof state, now->state), top_view_span(uptime, up),
             now->pool_count, now->pool_count == 1 ? "" : "s", view->clock);
    put(context, TOP_TITLE, line);
    snprintf(line, sizeof line,
             "workers: %" PRId64 " serving, %" PRId64 " post-response, %" PRId64
             " in shutdown functions, %" PRId64 " idle, %" PRId64 " other",
             TOP_TOTAL(now, serving), TOP_TOTAL(now, post_response), TOP_TOTAL(now, shutdown),
             TOP_TOTAL(now, idle),
             TOP_TOTAL(now, starting) + TOP_TOTAL(now, exiting) + TOP_TOTAL(now, unknown));
    put(context, TOP_PLAIN, line);
    int used = snprintf(line, sizeof line, "requests: %" PRId64, TOP_TOTAL(now, requests));
    if (known)
        used += snprintf(line + used, sizeof line - (size_t)used, ", %.1f/s", rate);
    snprintf(line + used, sizeof line - (size_t)used,
             ", %" PRId64 " with post-response work, %" PRId64 " waiting",
             TOP_TOTAL(now, post_response_requests), TOP_TOTAL(now, listen_queue));
    put(context, TOP_PLAIN, line);
    put(context, view->alert ? TOP_ALERT : TOP_PLAIN, view->note != NULL ? view->note : "");
}

/* Workers in post-response work that count against pm.max_children. */
static int64_t top_view_over(const struct status_read_pool *pool)
{
    int64_t over = pool->over_budget_now > 0 ? pool->over_budget_now : 0;
    return over < pool->post_response ? over : pool->post_response > 0 ? pool->post_response : 0;
}

/* One letter for each worker, scaled down if there are too many; blanks are workers that may still
 * be started. */
static void top_view_bar(const struct status_read_pool *pool, char out[TOP_BAR + 3])
{
    int64_t over = top_view_over(pool);
    const struct {
        int64_t count;
        char letter;
    } parts[] = {{pool->serving, '#'},  {over, '%'},           {pool->post_response - over, '+'},
                 {pool->shutdown, '~'}, {pool->starting, '^'}, {pool->exiting, 'x'},
                 {pool->unknown, '?'},  {pool->idle, '.'}};
    int64_t room = pool->max_children > 0 ? pool->max_children : 0, sum = 0, passed = 0;
    if (pool->post_response_max_children > 0)
        room += pool->post_response_max_children;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        sum += parts[i].count > 0 ? parts[i].count : 0;
    double scale = (double)(sum > room ? sum : room);
    scale = scale > TOP_BAR ? TOP_BAR / scale : 1;
    memset(out, ' ', TOP_BAR + 2);
    out[0] = '[';
    size_t end = (size_t)(scale * (double)(sum > room ? sum : room) + 0.5);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t from = (size_t)(scale * (double)passed + 0.5);
        passed += parts[i].count > 0 ? parts[i].count : 0;
        for (size_t to = (size_t)(scale * (double)passed + 0.5); from < to && from < TOP_BAR;
             from++)
            out[1 + from] = parts[i].letter;
    }
    out[1 + (end > TOP_BAR ? TOP_BAR : end)] = ']';
    out[TOP_BAR + 2] = '\0';
}

static void top_view_pool(const struct status_read_pool *pool, const struct status_read *before,
                          const struct top_view *view, top_put_fn *put, void *context)
{
    char line[512], name[TOP_POOL_WIDTH + 1], bar[TOP_BAR + 3], rate[TOP_WORD] = "-";
    char shutdown[TOP_WORD], idle[TOP_WORD], queue[TOP_WORD], p50[TOP_WORD], p99[TOP_WORD];
    char serving[3 * TOP_WORD + 3], after[3 * TOP_WORD + 3];
    char number[TOP_WORD], more[TOP_WORD], max[TOP_WORD];

    /* Serving workers as "2/8", or "2+1/8" if post-response work above its limit takes one more,
     * which is then not counted as post-response work. */
    int64_t over = top_view_over(pool);
    snprintf(serving, sizeof serving, "%s%s%s/%s", top_view_count(pool->serving, number),
             over > 0 ? "+" : "", over > 0 ? top_view_count(over, more) : "",
             top_view_count(pool->max_children, max));
    snprintf(after, sizeof after, "%s/%s", top_view_count(pool->post_response - over, number),
             top_view_count(pool->post_response_max_children, max));

    /* Rates and quantiles are of the time since the reading before; after the first reading the
     * quantiles are of all requests. */
    const struct status_read_pool *old = top_view_old_pool(before, pool);
    struct quantile_histogram answers = pool->answer;
    if (old != NULL)
        (void)quantile_between(&old->answer, &pool->answer, &answers);
    double per_second = top_view_rate(pool, before, view->seconds);
    if (per_second >= 0)
        snprintf(rate, sizeof rate, "%.1f", per_second);
    top_view_bar(pool, bar);
    snprintf(line, sizeof line, "%-*s %s %7s %9s %5s %5s %6s %8s %7s %7s", TOP_POOL_WIDTH,
             escape_show(name, sizeof name, pool->name), bar, serving, after,
             top_view_count(pool->shutdown, shutdown), top_view_count(pool->idle, idle),
             top_view_count(pool->listen_queue, queue), rate,
             top_view_ms(quantile_of(&answers, 50), p50),
             top_view_ms(quantile_of(&answers, 99), p99));
    bool bad = pool->listen_queue > 0 || pool->over_budget_now > 0;
    put(context, bad ? TOP_ALERT : TOP_PLAIN, line);
}

/* ---- workers ---- */

static const struct {
    const char *title;
    int width;     /* negative: to the left */
    size_t number; /* of a worker, to sort by; the largest first; 0 = none */
} top_view_columns[TOP_COLUMNS] = {
    [TOP_BY_POOL] = {"POOL", -TOP_POOL_WIDTH, 0},
    [TOP_BY_PID] = {"PID", 9, 0},
    [TOP_BY_STATE] = {"STATE", -13, 0},
    [TOP_BY_FOR] = {"FOR", 7, offsetof(struct status_read_worker, state_ms)},
    [TOP_BY_AGE] = {"AGE", 7, offsetof(struct status_read_worker, request_ms)},
    [TOP_BY_REQUESTS] = {"REQS", 7, offsetof(struct status_read_worker, requests)},
    [TOP_BY_CPU] = {"CPU%", 5, 0},
    [TOP_BY_TIME] = {"CPU", 7, offsetof(struct status_read_worker, cpu_ms)},
    [TOP_BY_MEMORY] = {"MEM", 6, offsetof(struct status_read_worker, memory_bytes)},
    [TOP_BY_LABEL] = {"LABEL", -16, 0},
    [TOP_BY_REQUEST] = {"REQUEST", -7, 0},
};

const char *top_view_column(enum top_column column)
{
    return top_view_columns[column].title;
}

/* A row to sort. */
struct top_row {
    const struct status_read_worker *worker;
    double cpu;
};

/* The number to sort by, the largest first. By state, busy workers come first. */
static double top_view_key(const struct top_row *row, enum top_column column)
{
    static const char *const order[] = {"post-response", "shutdown", "running", "reading",
                                        "starting",      "exiting",  "unknown", "idle"};
    int64_t number = 0;
    size_t rank = 0;
    while (rank < sizeof order / sizeof *order && strcmp(order[rank], row->worker->state) != 0)
        rank++;
    if (column == TOP_BY_STATE)
        return -(double)rank;
    if (column == TOP_BY_CPU)
        return row->cpu;
    if (column == TOP_BY_PID)
        return -(double)row->worker->pid;
    if (top_view_columns[column].number != 0)
        memcpy(&number, (const char *)row->worker + top_view_columns[column].number, sizeof number);
    return (double)number;
}

/* Empty texts come last. */
static int top_view_words(const char *a, const char *b)
{
    if ((*a == '\0') != (*b == '\0'))
        return *a == '\0' ? 1 : -1;
    return strcmp(a, b);
}

static int top_view_order(const void *left, const void *right, void *context)
{
    const struct top_row *a = left, *b = right;
    const struct top_view *view = context;
    double x = top_view_key(a, view->sort), y = top_view_key(b, view->sort);
    int order = x > y ? -1 : x < y;
    if (view->sort == TOP_BY_POOL)
        order = strcmp(a->worker->pool, b->worker->pool);
    else if (view->sort == TOP_BY_LABEL)
        order = top_view_words(a->worker->label, b->worker->label);
    else if (view->sort == TOP_BY_REQUEST)
        order = top_view_words(a->worker->uri, b->worker->uri);
    if (order != 0)
        return view->reverse ? -order : order;
    order = strcmp(a->worker->pool, b->worker->pool);
    if (order == 0 && a->worker->pid != b->worker->pid)
        return a->worker->pid < b->worker->pid ? -1 : 1;
    return order != 0 ? order : (a->worker->thread > b->worker->thread) * 2 - 1;
}

static void top_view_worker(const struct top_row *row, top_put_fn *put, void *context)
{
    static const struct {
        const char *state;
        enum top_style style;
    } styles[] = {
        {"idle", TOP_QUIET},
        {"unknown", TOP_QUIET},
        {"post-response", TOP_POST_RESPONSE},
        {"shutdown", TOP_POST_RESPONSE},
        {"running", TOP_SERVING},
        {"reading", TOP_SERVING},
    };
    const struct status_read_worker *worker = row->worker;
    char line[TOP_LINE], name[TOP_POOL_WIDTH + 1], pid[2 * TOP_WORD] = "-", state[24];
    char spent[TOP_WORD], age[TOP_WORD], requests[TOP_WORD], cpu[TOP_WORD] = "-", time[TOP_WORD];
    char memory[TOP_WORD], label[4 * STATUS_READ_TEXT_SIZE], uri[4 * STATUS_READ_TEXT_SIZE];
    char method[64];
    enum top_style style = TOP_PLAIN;
    if (worker->thread >= 0)
        snprintf(pid, sizeof pid, "%" PRId64 "/%" PRId64, worker->pid, worker->thread);
    else
        top_view_count(worker->pid, pid);
    if (row->cpu >= 0)
        snprintf(cpu, sizeof cpu, "%.0f", row->cpu);

    /* A label is padded to a number of characters, not bytes. */
    escape_show(label, sizeof label, *worker->label != '\0' ? worker->label : "-");
    int pad = -top_view_columns[TOP_BY_LABEL].width;
    for (const char *c = label; *c != '\0'; c++)
        pad -= ((unsigned char)*c & 0xc0) != 0x80;
    snprintf(line, sizeof line, "%-*s %9s %-13s %7s %7s %7s %5s %7s %6s %s%*s %s%s%s",
             TOP_POOL_WIDTH, escape_show(name, sizeof name, worker->pool), pid,
             escape_show(state, sizeof state, worker->state),
             top_view_span(worker->state_ms, spent),
             top_view_span(worker->request_ms > 0 ? worker->request_ms : -1, age),
             top_view_count(worker->requests, requests), cpu, top_view_span(worker->cpu_ms, time),
             top_view_bytes(worker->memory_bytes, memory), label, pad > 0 ? pad : 0, "",
             escape_show(method, sizeof method, *worker->method != '\0' ? worker->method : "-"),
             *worker->uri != '\0' ? " " : "", escape_show(uri, sizeof uri, worker->uri));
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++)
        if (strcmp(styles[i].state, worker->state) == 0)
            style = styles[i].style;
    put(context, style, line);
}

size_t top_view_frame(const struct status_read *now, const struct status_read *before,
                      const struct top_view *view, top_put_fn *put, void *context)
{
    struct top_view order = *view;
    char line[512];
    int used = 0;
    size_t above = 4 + 1 + now->pool_count + 1 + 1, count = 0;
    struct top_row *rows = calloc(now->worker_count + 1, sizeof *rows);
    top_view_header(now, before, view, put, context);

    snprintf(line, sizeof line, "%-*s %-*s %7s %9s %5s %5s %6s %8s %7s %7s", TOP_POOL_WIDTH, "POOL",
             TOP_BAR + 2, "WORKERS", "SERVING", "POST-RESP", "SHUTD", "IDLE", "QUEUE", "REQ/S",
             "50% IN", "99% IN");
    put(context, TOP_HEADING, line);
    for (size_t i = 0; i < now->pool_count; i++)
        top_view_pool(&now->pools[i], before, view, put, context);
    put(context, TOP_PLAIN, "");

    for (int i = 0; i < TOP_COLUMNS; i++) {
        char title[TOP_WORD];
        const char *mark = i != (int)view->sort ? "" : view->reverse ? "<" : ">";
        snprintf(title, sizeof title, "%s%s", top_view_columns[i].title, mark);
        used += snprintf(line + used, sizeof line - (size_t)used, "%s%*s", i > 0 ? " " : "",
                         top_view_columns[i].width, title);
    }
    put(context, TOP_HEADING, line);
    for (size_t i = 0; rows != NULL && i < now->worker_count; i++) {
        const struct status_read_worker *worker = &now->workers[i];
        if (*view->filter != '\0' && strcasestr(worker->pool, view->filter) == NULL &&
            strcasestr(worker->state, view->filter) == NULL &&
            strcasestr(worker->uri, view->filter) == NULL &&
            strcasestr(worker->label, view->filter) == NULL)
            continue;
        rows[count].worker = worker;
        rows[count++].cpu = top_view_cpu(worker, before, view->seconds);
    }
    if (count > 0)
        qsort_r(rows, count, sizeof *rows, top_view_order, &order);
    size_t first = count > 0 && view->first >= count ? count - 1 : view->first;
    for (size_t i = first; i < count && (view->lines == 0 || above < view->lines); i++) {
        top_view_worker(&rows[i], put, context);
        above++;
    }
    free(rows);
    return count;
}
