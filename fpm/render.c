/* render.c: see render.h. */
#include "fpm/render.h"

#include "fpm/text.h"

#include <inttypes.h>
#include <string.h>

void render_pool_text(FILE *out, const struct status_pool *pool)
{
    fprintf(out, "%-20s %s\n", "pool", pool->name);
    fprintf(out, "%-20s %s\n", "process manager", pool->pm);
    fprintf(out, "%-20s %s\n", "listen", pool->listen);
#define RENDER_LINE(member, name, help)                                                            \
    fprintf(out, "%-20s %-10" PRIu64 " %s\n", name, pool->member, help);
    STATUS_POOL_FIELDS(RENDER_LINE)
#undef RENDER_LINE
}

void render_pool_json(FILE *out, const struct status_pool *pool)
{
    fputs("{\"pool\": ", out);
    text_json(out, pool->name);
    fputs(", \"process_manager\": ", out);
    text_json(out, pool->pm);
    fputs(", \"listen\": ", out);
    text_json(out, pool->listen);
#define RENDER_PAIR(member, name, help) fprintf(out, ", \"%s\": %" PRIu64, name, pool->member);
    STATUS_POOL_FIELDS(RENDER_PAIR)
#undef RENDER_PAIR
    fputc('}', out);
}

void render_worker_heading(FILE *out)
{
    fprintf(out, "%-16s %7s %4s %-13s %12s %12s %10s  %s\n", "POOL", "PID", "SLOT", "STATE", "FOR",
            "UP", "REQUESTS", "DOING");
}

/* What is being done: the end of a line. */
static void render_doing(FILE *out, const struct status_worker *worker)
{
    char method[OT_METHOD_MAX * 4], uri[OT_URI_MAX * 4], label[OT_LABEL_MAX * 4];
    text_show(method, sizeof method, worker->method);
    text_show(uri, sizeof uri, worker->uri);
    text_show(label, sizeof label, worker->label);
    if (*method != '\0' || *uri != '\0')
        fprintf(out, "  %s%s%s", method, *method ? " " : "", uri);
    if (*label != '\0')
        fprintf(out, " \"%s\"", label);
}

void render_worker_text(FILE *out, const char *pool, const struct status_worker *worker)
{
    char in_state[32] = "-", up[32], requests[24] = "-";
    text_duration(worker->uptime_ms, up, sizeof up);
    if (worker->known) {
        text_duration(worker->state_ms, in_state, sizeof in_state);
        snprintf(requests, sizeof requests, "%" PRIu64, worker->requests);
    }
    fprintf(out, "%-16s %7d %4u %-13s %12s %12s %10s", pool, (int)worker->pid, worker->slot,
            worker->state, in_state, up, requests);
    render_doing(out, worker);
    if (worker->threads > 1)
        fprintf(out, "  (%u of %u threads busy)", worker->busy, worker->threads);
    if (strcmp(worker->process, "running") != 0)
        fprintf(out, " (%s)", worker->process);
    fputc('\n', out);
}

void render_thread_text(FILE *out, unsigned number, const struct status_worker *thread)
{
    char in_state[32];
    text_duration(thread->state_ms, in_state, sizeof in_state);
    fprintf(out, "%-16s %7s %4s %-13s %12s %12s %10" PRIu64 "  thread %u", "", "", "",
            thread->state, in_state, "", thread->requests, number);
    render_doing(out, thread);
    fputc('\n', out);
}

/* State, ages, requests and what is being done. */
static void render_activity_json(FILE *out, const struct status_worker *worker)
{
    fprintf(out,
            "\"state\": \"%s\", \"state_ms\": %" PRId64 ", \"request_ms\": %" PRId64
            ", \"requests\": %" PRIu64,
            worker->state, worker->state_ms, worker->request_ms, worker->requests);
    fputs(", \"method\": ", out);
    text_json(out, worker->method);
    fputs(", \"uri\": ", out);
    text_json(out, worker->uri);
    fputs(", \"label\": ", out);
    text_json(out, worker->label);
}

void render_worker_json(FILE *out, const char *pool, const struct status_worker *worker)
{
    fputs("{\"pool\": ", out);
    text_json(out, pool);
    fprintf(out, ", \"pid\": %d, \"slot\": %u, \"generation\": %u, \"process\": \"%s\"",
            (int)worker->pid, worker->slot, worker->generation, worker->process);
    fprintf(out, ", \"uptime_ms\": %" PRId64 ", ", worker->uptime_ms);
    if (!worker->known) {
        fputs("\"state\": \"unknown\", \"state_ms\": null, \"request_ms\": null, "
              "\"requests\": null, \"method\": null, \"uri\": null, \"label\": null, "
              "\"threads\": null, \"busy\": null, \"each\": [",
              out);
        return;
    }
    render_activity_json(out, worker);
    fprintf(out, ", \"threads\": %u, \"busy\": %u, \"each\": [", worker->threads, worker->busy);
}

void render_thread_json(FILE *out, unsigned number, const struct status_worker *thread)
{
    fprintf(out, "%s{\"thread\": %u, ", number > 0 ? ", " : "", number);
    render_activity_json(out, thread);
    fputc('}', out);
}

void render_worker_json_end(FILE *out)
{
    fputs("]}", out);
}
