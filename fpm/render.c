/* render.c: see render.h. */
#include "fpm/render.h"

#include "fpm/text.h"

#include <inttypes.h>
#include <string.h>

void render_pool_text(FILE *out, const struct status_pool *pool)
{
    fprintf(out, "%-18s %s\n", "pool", pool->name);
    fprintf(out, "%-18s %s\n", "process manager", pool->pm);
    fprintf(out, "%-18s %s\n", "listen", pool->listen);
#define RENDER_LINE(member, name, help)                                                            \
    fprintf(out, "%-18s %-10" PRIu64 " %s\n", name, pool->member, help);
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

void render_worker_text(FILE *out, const char *pool, const struct status_worker *worker)
{
    char in_state[32] = "-", up[32], requests[24] = "-";
    char method[OT_METHOD_MAX * 4], uri[OT_URI_MAX * 4], label[OT_LABEL_MAX * 4];
    text_duration(worker->uptime_ms, up, sizeof up);
    if (worker->known) {
        text_duration(worker->state_ms, in_state, sizeof in_state);
        snprintf(requests, sizeof requests, "%" PRIu64, worker->requests);
    }
    text_show(method, sizeof method, worker->method);
    text_show(uri, sizeof uri, worker->uri);
    text_show(label, sizeof label, worker->label);
    fprintf(out, "%-16s %7d %4u %-13s %12s %12s %10s  %s%s%s", pool, (int)worker->pid, worker->slot,
            worker->state, in_state, up, requests, method, *method ? " " : "", uri);
    if (*label != '\0')
        fprintf(out, " \"%s\"", label);
    if (strcmp(worker->process, "running") != 0)
        fprintf(out, " (%s)", worker->process);
    fputc('\n', out);
}

void render_worker_json(FILE *out, const char *pool, const struct status_worker *worker)
{
    fputs("{\"pool\": ", out);
    text_json(out, pool);
    fprintf(out, ", \"pid\": %d, \"slot\": %u, \"process\": \"%s\", \"state\": \"%s\"",
            (int)worker->pid, worker->slot, worker->process, worker->state);
    fprintf(out, ", \"uptime_ms\": %" PRId64, worker->uptime_ms);
    if (!worker->known) {
        fputs(", \"state_ms\": null, \"request_ms\": null, \"threads\": null, \"busy\": null, "
              "\"requests\": null, \"method\": null, \"uri\": null, \"label\": null}",
              out);
        return;
    }
    fprintf(out,
            ", \"state_ms\": %" PRId64 ", \"request_ms\": %" PRId64
            ", \"threads\": %u, \"busy\": %u, \"requests\": %" PRIu64,
            worker->state_ms, worker->request_ms, worker->threads, worker->busy, worker->requests);
    fputs(", \"method\": ", out);
    text_json(out, worker->method);
    fputs(", \"uri\": ", out);
    text_json(out, worker->uri);
    fputs(", \"label\": ", out);
    text_json(out, worker->label);
    fputc('}', out);
}
