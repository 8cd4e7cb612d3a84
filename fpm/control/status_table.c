/* status_table.c: see status_table.h. */
#include "fpm/control/status_table.h"

#include "fpm/util/quantile.h"
#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/scalar.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum {
    STATUS_TABLE_NAME = 27, /* columns of a name */
    STATUS_TABLE_VALUE = 19,
    STATUS_TABLE_POOL = 16 /* of a pool's name in the pools' table */
};

static void status_table_value(FILE *out, const char *name, const char *value, const char *help)
{
    fprintf(out, "%-*s %-*s %s\n", STATUS_TABLE_NAME, name, STATUS_TABLE_VALUE, value, help);
}

/* Dates and durations in a readable form, without the unit that the name has in JSON. */
static void status_table_field(FILE *out, const struct status_field *field, int64_t number)
{
    char value[32] = "-", name[64];
    size_t length = strlen(field->key);
    struct tm local;
    time_t moment = (time_t)number;
    if (field->unit == STATUS_MS) {
        length -= strlen("_ms");
        scalar_duration(number, value, sizeof value);
    } else if (field->unit != STATUS_DATE)
        snprintf(value, sizeof value, "%" PRId64, number);
    else if (localtime_r(&moment, &local) != NULL)
        (void)strftime(value, sizeof value, "%Y-%m-%d %H:%M:%S", &local);
    snprintf(name, sizeof name, "%.*s", (int)length, field->key);
    status_table_value(out, name, value, field->help);
}

/* As scalar_duration, below a millisecond too. */
static void status_table_short(FILE *out, uint64_t ns)
{
    char text[32];
    scalar_duration((int64_t)(ns / CLOCK_NS_PER_MS), text, sizeof text);
    if (ns < 10000000)
        fprintf(out, "%.1f ms", (double)ns / 1e6);
    else
        fputs(text, out);
}

/* The groups of a pool's fields; a field that none names is in the first one. */
static const struct {
    const char *heading;
    const char *fields; /* each between blanks */
} status_table_groups[] = {
    {"POOL", ""},
    {"WORKERS NOW", " workers idle active serving post_response shutdown starting exiting unknown "
                    "retiring older over_budget_now max_children post_response_max_children "
                    "max_active max_post_response "},
    {"LISTEN QUEUE", " listen_queue max_listen_queue listen_backlog max_children_reached "},
    {"REQUESTS", " requests post_response_requests post_response_ms aborted timed_out dropped "
                 "refused_clients refused_packets "
                 "discarded_bytes slow_requests over_budget shutdown_run shutdown_late "
                 "shutdown_lost "},
    {"STARTS AND ENDS OF WORKERS", " spawned start_failures ended died "},
};

void status_table_pool(FILE *out, const struct status_pool *pool)
{
    const size_t groups = sizeof status_table_groups / sizeof *status_table_groups;
    char shown[2 * OT_LISTEN_MAX], name[64], number[24];
    struct status_exit way;
    fprintf(out, "%s\n%-*s %s\n", status_table_groups[0].heading, STATUS_TABLE_NAME, "pool",
            pool->name);
    fprintf(out, "%-*s %s\n", STATUS_TABLE_NAME, "process_manager", pool->pm);
    fprintf(out, "%-*s %s\n", STATUS_TABLE_NAME, "listen",
            escape_show(shown, sizeof shown, pool->listen));
    for (size_t i = 0; i < groups; i++) {
        if (i > 0)
            fprintf(out, "\n%s\n", status_table_groups[i].heading);
        for (const struct status_field *field = status_pool_fields; field->key != NULL; field++) {
            size_t group = groups - 1;
            snprintf(name, sizeof name, " %s ", field->key);
            while (group > 0 && strstr(status_table_groups[group].fields, name) == NULL)
                group--;
            if (group == i)
                status_table_field(out, field, status_number(field, pool));
        }
    }
    for (unsigned i = 0; i < STATUS_CAUSES; i++) {
        snprintf(name, sizeof name, "ended_by %s", status_causes[i].name);
        snprintf(number, sizeof number, "%" PRIu64, pool->ended_by[i]);
        status_table_value(out, name, number, status_causes[i].help);
    }
    for (unsigned at = 0; status_next_exit(pool, &at, &way);) {
        snprintf(name, sizeof name, "%s %s", way.signal ? "exit_signals" : "exit_statuses",
                 way.name);
        snprintf(number, sizeof number, "%" PRIu64, way.count);
        status_table_value(out, name, number,
                           way.signal ? "died of this signal" : "exited with this status");
    }

    fputs("\nTIMES\n", out);
    for (unsigned i = 0; i < OT_MEASURE_COUNT; i++) {
        const struct ot_histogram *histogram = &pool->measures[i];
        uint64_t count = histogram_count(histogram);
        fprintf(out, "%-*s %-*" PRIu64 " %s", STATUS_TABLE_NAME, status_measures[i].name,
                STATUS_TABLE_VALUE, count, status_measures[i].help);
        if (count > 0) {
            fputs(": mean ", out);
            status_table_short(out, histogram->sum / count);
        }
        for (unsigned percent = 50; count > 0 && percent <= 99; percent += 49) {
            size_t bucket = quantile_bucket(histogram->buckets, OT_BUCKETS, percent);
            fprintf(out, ", %u%% within ", percent);
            if (bucket == OT_BUCKETS - 1)
                fputs("more than 2000 s", out);
            else
                status_table_short(out, histogram_bounds[bucket]);
        }
        fputc('\n', out);
    }
}

/* ---- all pools, a line for each ---- */

void status_table_pools_heading(FILE *out)
{
    fprintf(out, "%-16s %9s %9s %5s %5s %5s %6s %10s %9s %5s  %s\n", "POOL", "SERVING", "POST",
            "SHUTD", "IDLE", "OTHER", "QUEUE", "REQUESTS", "POST-REQS", "DIED", "UP");
}

void status_table_pools_legend(FILE *out)
{
    fputs("\nSERVING, POST: workers in requests and in post-response work, of at most so many; "
          "+N: work\n  above its limit, which counts as serving. SHUTD: in shutdown functions. "
          "OTHER: starting,\n  exiting, or without the library. QUEUE: connections that wait. "
          "REQUESTS, POST-REQS: requests\n  since UP, and those with post-response work. DIED: "
          "workers that ended unexpectedly.\n",
          out);
}

/* Post-response work above its limit counts as serving, as in top. */
void status_table_pools_line(FILE *out, const struct status_pool *pool)
{
    char serving[72], post[48], up[32], over[24] = "", name[OT_POOL_NAME_MAX];
    int64_t above =
        pool->over_budget_now < pool->post_response ? pool->over_budget_now : pool->post_response;
    if (above > 0)
        snprintf(over, sizeof over, "+%" PRId64, above);
    snprintf(serving, sizeof serving, "%" PRId64 "%s/%" PRId64, pool->serving, over,
             pool->max_children);
    snprintf(post, sizeof post, "%" PRId64 "/%" PRId64, pool->post_response - above,
             pool->post_response_max_children);
    scalar_duration(pool->uptime_ms, up, sizeof up);
    /* A long name is cut, so that the line fits a terminal. */
    if (strlen(pool->name) > STATUS_TABLE_POOL)
        snprintf(name, sizeof name, "%.*s~", STATUS_TABLE_POOL - 1, pool->name);
    else
        snprintf(name, sizeof name, "%s", pool->name);
    fprintf(out,
            "%-*s %9s %9s %5" PRId64 " %5" PRId64 " %5" PRId64 " %6" PRId64 " %10" PRId64
            " %9" PRId64 " %5" PRId64 "  %s\n",
            STATUS_TABLE_POOL, name, serving, post, pool->shutdown, pool->idle,
            pool->starting + pool->exiting + pool->unknown, pool->listen_queue, pool->requests,
            pool->post_response_requests, pool->died, up);
}

/* ---- workers ---- */

void status_table_heading(FILE *out)
{
    fprintf(out, "%-16s %7s %4s %-13s %12s %12s %10s %10s %8s  %s\n", "POOL", "PID", "SLOT",
            "STATE", "FOR", "UP", "REQUESTS", "CPU", "MEMORY", "DOING");
}

/* The request: the end of a line. */
static void status_table_doing(FILE *out, const struct status_thread *doing)
{
    char method[OT_METHOD_MAX * 4], uri[OT_URI_MAX * 4], label[OT_LABEL_MAX * 4];
    escape_show(method, sizeof method, doing->method);
    escape_show(uri, sizeof uri, doing->uri);
    escape_show(label, sizeof label, doing->label);
    if (*method != '\0' || *uri != '\0')
        fprintf(out, "  %s%s%s", method, *method ? " " : "", uri);
    if (*label != '\0')
        fprintf(out, " \"%s\"", label);
}

static const char *status_table_time(char *text, size_t size, int64_t ms)
{
    if (ms < 0)
        snprintf(text, size, "-");
    else
        scalar_duration(ms, text, size);
    return text;
}

void status_table_worker(FILE *out, const char *pool, const struct status_worker *worker)
{
    char in_state[32], up[32], cpu[32], memory[32] = "-", requests[24] = "-";
    if (worker->known)
        snprintf(requests, sizeof requests, "%" PRId64, worker->requests);
    if (worker->memory_bytes >= 0)
        snprintf(memory, sizeof memory, "%.1fM", (double)worker->memory_bytes / 1048576);
    fprintf(out, "%-16s %7d %4d %-13s %12s %12s %10s %10s %8s", pool, (int)worker->pid,
            (int)worker->slot, worker->doing.state,
            status_table_time(in_state, sizeof in_state, worker->doing.state_ms),
            status_table_time(up, sizeof up, worker->uptime_ms), requests,
            status_table_time(cpu, sizeof cpu, worker->cpu_ms), memory);
    status_table_doing(out, &worker->doing);
    if (worker->threads > 1)
        fprintf(out, "  (%d of %d threads busy)", (int)worker->busy, (int)worker->threads);
    if (strcmp(worker->process, "running") != 0)
        fprintf(out, " (%s)", worker->process);
    fputc('\n', out);
    for (unsigned i = 0; worker->threads > 1 && i < (unsigned)worker->threads; i++) {
        struct status_thread thread;
        status_thread(worker, i, &thread);
        snprintf(requests, sizeof requests, "%" PRId64, thread.requests);
        fprintf(out, "%-16s %7s %4s %-13s %12s %12s %10s %10s %8s  thread %u", "", "", "",
                thread.state, status_table_time(in_state, sizeof in_state, thread.state_ms), "",
                thread.requests >= 0 ? requests : "-", "", "", i);
        status_table_doing(out, &thread);
        fputc('\n', out);
    }
}
