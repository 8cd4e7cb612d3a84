/* status.c: see status.h. */
#include "fpm/status.h"

#include "fpm/clock.h"

#include <string.h>

static const char *status_pm_name(int pm)
{
    return pm == CONF_PM_DYNAMIC ? "dynamic" : pm == CONF_PM_ONDEMAND ? "ondemand" : "static";
}

static void status_count(struct status_pool *out, const struct scoreboard_view *view)
{
    switch (view->attached ? (int)view->lead.state : -1) {
    case OT_STATE_STARTING:
        out->starting++;
        break;
    case OT_STATE_IDLE:
        out->idle++;
        break;
    case OT_STATE_READING:
    case OT_STATE_RUNNING:
        out->serving++;
        break;
    case OT_STATE_POST:
        out->post_response++;
        break;
    case OT_STATE_SHUTDOWN:
        out->shutdown++;
        break;
    case OT_STATE_EXITING:
        out->exiting++;
        break;
    default:
        out->unknown++;
    }
    out->requests += view->requests;
    out->finished += view->finished;
    out->aborted += view->aborted;
    out->timed_out += view->timed_out;
    out->dropped += view->dropped;
    out->discarded_bytes += view->discarded;
    out->shutdown_run += view->shutdown_run;
    out->shutdown_late += view->shutdown_late;
    out->shutdown_lost += view->shutdown_lost;
}

static void status_count_generation(struct status_pool *out, const struct generation *generation)
{
    out->retiring += generation->asked;
    for (unsigned i = 0; i < generation->size; i++) {
        struct scoreboard_view view;
        if (generation->members[i].worker.state == WORKER_NONE)
            continue;
        scoreboard_look(&generation->scoreboard, i, &view);
        status_count(out, &view);
    }
}

void status_pool(const struct pool *pool, const struct keeper *keeper, struct status_pool *out)
{
    const struct pool_totals *totals = &pool->totals;
    const struct conf_pool *settings = pool_settings(pool);
    struct queue_state queue = {0};
    (void)queue_look(keeper->queue, pool->listener.fd, &queue);
    int64_t now = clock_ms();
    *out = (struct status_pool){
        .name = pool->name,
        .pm = status_pm_name(settings->pm),
        .listen = settings->listen.text,
        .max_children = (uint64_t)settings->pm_max_children,
        .workers = pool_live(pool),
        .requests = totals->requests,
        .finished = totals->finished,
        .aborted = totals->aborted,
        .timed_out = totals->timed_out,
        .dropped = totals->dropped,
        .discarded_bytes = totals->discarded,
        .shutdown_run = totals->shutdown_run,
        .shutdown_late = totals->shutdown_late,
        .shutdown_lost = totals->shutdown_lost,
        .generation = pool->number,
        .listen_queue = queue.waiting,
        .over_budget = totals->over_budget,
        .max_children_reached = totals->at_max,
        .spawned = totals->spawned,
        .died = totals->died,
        .start_failures = totals->start_failures,
        .backoff_ms = (uint64_t)backoff_wait(&pool->backoff, now),
        .uptime_ms = (uint64_t)(now - pool->opened),
    };
    status_count_generation(out, pool->current);
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        status_count_generation(out, g);
}

/* Milliseconds since a stamp that a worker wrote: never negative, 0 for none. */
static int64_t status_since(uint64_t stamp, int64_t now)
{
    return stamp == 0 || stamp > (uint64_t)now ? 0 : (now - (int64_t)stamp) / 1000000;
}

static void status_activity(struct status_worker *out, const struct ot_record *record, int64_t now)
{
    out->state = scoreboard_state_name(record->state);
    out->state_ms = status_since(record->state_since, now);
    out->request_ms = 0;
    out->method[0] = out->uri[0] = out->label[0] = '\0';
    if (!scoreboard_state_busy(record->state))
        return;
    out->request_ms = status_since(record->accepted_at, now);
    memcpy(out->method, record->method, sizeof out->method);
    memcpy(out->uri, record->uri, sizeof out->uri);
    memcpy(out->label, record->label, sizeof out->label);
}

bool status_thread(const struct generation *generation, unsigned slot, unsigned thread,
                   struct status_worker *out)
{
    struct ot_record record;
    if (!scoreboard_thread(&generation->scoreboard, slot, thread, &record))
        return false;
    out->requests = record.requests;
    status_activity(out, &record, clock_ns());
    return true;
}

bool status_worker(const struct generation *generation, unsigned slot, struct status_worker *out)
{
    const struct worker *worker = &generation->members[slot].worker;
    if (worker->state == WORKER_NONE)
        return false;
    struct scoreboard_view view;
    int64_t now = clock_ns();
    scoreboard_look(&generation->scoreboard, slot, &view);
    *out = (struct status_worker){
        .pid = worker->pid,
        .slot = slot,
        .generation = generation->number,
        .known = view.attached,
        .state = "unknown",
        .process = worker_state_name(worker->state),
        .uptime_ms = now / 1000000 - worker->started,
        .threads = view.threads,
        .busy = view.busy,
        .requests = view.requests,
    };
    if (!view.attached)
        return true;
    status_activity(out, &view.lead, now);
    return true;
}
