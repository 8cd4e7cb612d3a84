/* verbs.c: see verbs.h. */
#include "fpm/verbs.h"

#include "fpm/control_proto.h"
#include "fpm/render.h"
#include "fpm/status.h"
#include "fpm/text.h"
#include "fpm/version.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int verbs_ping(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    const char *state = verbs->state(verbs->owner);
    if (call->json)
        fprintf(call->body, "{\"pid\": %d, \"state\": \"%s\", \"version\": \"%s\"}\n",
                (int)getpid(), state, OVERTIME_VERSION);
    else
        fprintf(call->body, "process %d, %s, version %s\n", (int)getpid(), state, OVERTIME_VERSION);
    return 0;
}

/* Is this pool asked for? A call without an argument asks for all. */
static bool verbs_wanted(const struct control_call *call, const struct pool *pool)
{
    return call->argc == 0 || strcmp(call->argv[0], pool->conf->name) == 0;
}

/* The pool a call names exists, or it names none. */
static bool verbs_known(const struct verbs *verbs, struct control_call *call)
{
    char shown[128];
    for (size_t i = 0; i < verbs->pool_count; i++)
        if (verbs_wanted(call, &verbs->pools[i]))
            return true;
    snprintf(call->error, sizeof call->error, "no pool \"%s\"",
             call->argc == 0 ? "" : text_show(shown, sizeof shown, call->argv[0]));
    return false;
}

static int verbs_status(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    if (!verbs_known(verbs, call))
        return -1;
    const char *between = "";
    if (call->json)
        fprintf(call->body, "{\"pid\": %d, \"state\": \"%s\", \"pools\": [", (int)getpid(),
                verbs->state(verbs->owner));
    for (size_t i = 0; i < verbs->pool_count; i++) {
        struct status_pool pool;
        if (!verbs_wanted(call, &verbs->pools[i]))
            continue;
        status_pool(&verbs->pools[i], &pool);
        fputs(between, call->body);
        between = call->json ? ", " : "\n";
        if (call->json)
            render_pool_json(call->body, &pool);
        else
            render_pool_text(call->body, &pool);
    }
    if (call->json)
        fputs("]}\n", call->body);
    return 0;
}

/* A worker with one thread is that thread. */
static void verbs_threads_of(const struct pool *pool, const struct status_worker *worker,
                             struct control_call *call)
{
    for (unsigned i = 0; worker->known && i < worker->threads; i++) {
        struct status_worker thread = *worker;
        if (!status_thread(pool, worker->slot, i, &thread))
            thread.state = "changing";
        if (call->json)
            render_thread_json(call->body, i, &thread);
        else if (worker->threads > 1)
            render_thread_text(call->body, i, &thread);
    }
}

static void verbs_workers_of(const struct pool *pool, struct control_call *call,
                             const char **between)
{
    for (unsigned slot = 0; slot < pool->size; slot++) {
        struct status_worker worker;
        if (!status_worker(pool, slot, &worker))
            continue;
        if (!call->json) {
            render_worker_text(call->body, pool->conf->name, &worker);
            verbs_threads_of(pool, &worker, call);
            continue;
        }
        fputs(*between, call->body);
        *between = ", ";
        render_worker_json(call->body, pool->conf->name, &worker);
        verbs_threads_of(pool, &worker, call);
        render_worker_json_end(call->body);
    }
}

static int verbs_workers(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    const char *between = "";
    if (!verbs_known(verbs, call))
        return -1;
    if (call->json)
        fputs("{\"workers\": [", call->body);
    else
        render_worker_heading(call->body);
    for (size_t i = 0; i < verbs->pool_count; i++)
        if (verbs_wanted(call, &verbs->pools[i]))
            verbs_workers_of(&verbs->pools[i], call, &between);
    if (call->json)
        fputs("]}\n", call->body);
    return 0;
}

static int verbs_config(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    if (call->json) {
        snprintf(call->error, sizeof call->error, "\"config\" has no JSON form yet");
        return -1;
    }
    if (conf_dump(verbs->conf, call->body) == 0)
        return 0;
    snprintf(call->error, sizeof call->error, "cannot write: %s", strerror(errno));
    return -1;
}

/* For the log: which command, and who gave it. */
static const char *verbs_why(char *why, size_t size, const struct control_call *call)
{
    if (call->uid == (uid_t)-1)
        snprintf(why, size, "control: %s", call->verb);
    else
        snprintf(why, size, "control: %s, asked by uid %u", call->verb, (unsigned)call->uid);
    return why;
}

static int verbs_stop(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    char why[64];
    call->hold = true;
    verbs->stop(verbs->owner, POOL_STOP_NOW, verbs_why(why, sizeof why, call));
    return 0;
}

static int verbs_quit(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    char why[64];
    call->hold = true;
    verbs->stop(verbs->owner, POOL_STOP_GRACEFUL, verbs_why(why, sizeof why, call));
    return 0;
}

static int verbs_reopen(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    (void)call;
    verbs->reopen_logs(verbs->owner, "control: reopen-logs");
    return 0;
}

static int verbs_not_yet(void *context, struct control_call *call)
{
    (void)context;
    snprintf(call->error, sizeof call->error, "\"%s\" is not implemented yet", call->verb);
    return -1;
}

const struct control_command verbs_table[] = {
    {CONTROL_PING, 0, verbs_ping},
    {CONTROL_STATUS, 1, verbs_status},
    {CONTROL_WORKERS, 1, verbs_workers},
    {CONTROL_CONFIG, 0, verbs_config},
    {CONTROL_STOP, 0, verbs_stop},
    {CONTROL_QUIT, 0, verbs_quit},
    {CONTROL_REOPEN_LOGS, 0, verbs_reopen},
    {CONTROL_RELOAD, CONTROL_ARGUMENTS_MAX, verbs_not_yet},
    {CONTROL_TRACE, CONTROL_ARGUMENTS_MAX, verbs_not_yet},
    {CONTROL_TOP, CONTROL_ARGUMENTS_MAX, verbs_not_yet},
    {CONTROL_REQUEST, CONTROL_ARGUMENTS_MAX, verbs_not_yet},
    {NULL, 0, NULL},
};
