/* verbs.c: see verbs.h. */
#include "fpm/verbs.h"

#include "fpm/control_proto.h"
#include "fpm/facts.h"
#include "fpm/render.h"
#include "fpm/text.h"
#include "fpm/verb_request.h"
#include "fpm/verb_trace.h"
#include "fpm/version.h"
#include "sapi-shim/status_json.h"

#include <errno.h>
#include <stdlib.h>
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
    return call->argc == 0 || strcmp(call->argv[0], pool->name) == 0;
}

/* False with a sentence. */
static bool verbs_exists(const struct verbs *verbs, struct control_call *call, const char *name)
{
    char shown[128];
    for (size_t i = 0; i < verbs->pools->count; i++)
        if (strcmp(name, verbs->pools->items[i]->pool.name) == 0)
            return true;
    snprintf(call->error, sizeof call->error,
             "no pool \"%s\": `overtimectl status` shows which there are",
             text_show(shown, sizeof shown, name));
    return false;
}

/* The pool a call names exists, or it names none. */
static bool verbs_known(const struct verbs *verbs, struct control_call *call)
{
    return call->argc == 0 || verbs_exists(verbs, call, call->argv[0]);
}

/* Counts now, and not when something last happened. */
static void verbs_count(const struct pools_item *item, struct status_pool *out)
{
    const struct pool *pool = &item->pool;
    struct status_source source = facts_source(pool->current);
    struct queue_state state = {0};
    struct ot_facts facts;
    (void)queue_look(item->keeper.queue, pool->listener.fd, &state);
    struct status_queue queue = {.waiting = state.waiting, .backlog = state.backlog};
    facts_gather(pool, &item->keeper, pool->current, &facts);
    status_pool(&source, &facts, &queue, out);
    snprintf(out->name, sizeof out->name, "%s", pool->name);
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
    else if (call->argc == 0)
        render_pools_heading(call->body);
    for (size_t i = 0; i < verbs->pools->count; i++) {
        struct status_pool pool;
        if (!verbs_wanted(call, &verbs->pools->items[i]->pool))
            continue;
        verbs_count(verbs->pools->items[i], &pool);
        fputs(between, call->body);
        between = call->json ? ", " : "";
        if (call->json)
            status_json_pool(call->body, &pool);
        else if (call->argc == 0)
            render_pools_line(call->body, &pool);
        else
            render_pool(call->body, &pool);
    }
    if (call->json)
        fputs("]}\n", call->body);
    return 0;
}

static void verbs_workers_of(const char *pool, const struct generation *generation,
                             struct control_call *call, const char **between)
{
    struct status_source source = facts_source(generation);
    for (unsigned slot = 0; slot < source.count; slot++) {
        struct status_worker worker;
        if (!status_worker(&source, slot, &worker))
            continue;
        if (!call->json) {
            render_worker(call->body, pool, &worker);
            continue;
        }
        fputs(*between, call->body);
        *between = ", ";
        status_json_worker(call->body, pool, &worker);
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
        render_heading(call->body);
    for (size_t i = 0; i < verbs->pools->count; i++) {
        const struct pool *pool = &verbs->pools->items[i]->pool;
        if (!verbs_wanted(call, pool))
            continue;
        verbs_workers_of(pool->name, pool->current, call, &between);
        for (const struct generation *g = pool->older; g != NULL; g = g->older)
            verbs_workers_of(pool->name, g, call, &between);
    }
    if (call->json)
        fputs("]}\n", call->body);
    return 0;
}

static int verbs_config(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    const struct conf *conf = verbs->conf;
    const char *name = call->argc > 0 ? call->argv[0] : NULL;
    int result = -1;
    if (!verbs_known(verbs, call))
        return -1;
    errno = ENOENT; /* a pool that leaves has no section any more */
    if (call->json)
        result = conf_json(conf, name, call->body);
    else if (name == NULL)
        result = conf_dump(conf, call->body);
    for (size_t i = 0; i < conf->pool_count && name != NULL && !call->json; i++)
        if (strcmp(conf->pools[i].name, name) == 0)
            result = conf_dump_pool(&conf->pools[i], call->body);
    if (result == 0)
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

/* The word is among the arguments. */
static bool verbs_has(const struct control_call *call, const char *word)
{
    for (int i = 0; i < call->argc; i++)
        if (strcmp(call->argv[i], word) == 0)
            return true;
    return false;
}

/* What was done, a line for each, as JSON. */
static void verbs_notes(FILE *out, char *lines)
{
    const char *between = "";
    char *line;
    fputs("{\"done\": true, \"notes\": [", out);
    while ((line = strsep(&lines, "\n")) != NULL) {
        if (*line == '\0')
            continue;
        fputs(between, out);
        text_json(out, line);
        between = ", ";
    }
    fputs("]}\n", out);
}

static int verbs_do_reload(const struct verbs *verbs, struct control_call *call, const char *all,
                           FILE *out)
{
    char why[64];
    return verbs->reload(verbs->owner, verbs_why(why, sizeof why, call), all, out, call->error,
                         sizeof call->error);
}

static int verbs_do_reload_json(const struct verbs *verbs, struct control_call *call,
                                const char *all)
{
    char *lines = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&lines, &size);
    if (out == NULL) {
        snprintf(call->error, sizeof call->error, "out of memory");
        return -1;
    }
    int result = verbs_do_reload(verbs, call, all, out);
    bool whole = fclose(out) == 0 && lines != NULL;
    if (whole && result == 0)
        verbs_notes(call->body, lines);
    free(lines);
    return result;
}

/* The pool that a reload names, "" = none; NULL with a sentence for what it does not take. */
static const char *verbs_reload_pool(const struct verbs *verbs, struct control_call *call)
{
    const char *pool = "";
    char shown[128];
    for (int i = 0; i < call->argc; i++) {
        const char *word = call->argv[i];
        if (strcmp(word, CONTROL_ALL) == 0 || strcmp(word, CONTROL_WAIT) == 0)
            continue;
        if (*pool != '\0' || !verbs_has(call, CONTROL_ALL)) {
            snprintf(
                call->error, sizeof call->error,
                "\"reload\" takes no \"%s\": the files are read as a whole, and a pool that did "
                "not change keeps its workers; `reload --all POOL` gives it new ones",
                text_show(shown, sizeof shown, word));
            return NULL;
        }
        pool = word;
        if (!verbs_exists(verbs, call, pool))
            return NULL;
    }
    return pool;
}

static int verbs_reload(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    const char *pool = verbs_reload_pool(verbs, call);
    if (pool == NULL)
        return -1;
    const char *all = verbs_has(call, CONTROL_ALL) ? pool : NULL;
    if ((call->json ? verbs_do_reload_json(verbs, call, all)
                    : verbs_do_reload(verbs, call, all, call->body)) != 0)
        return -1;
    call->later = verbs_has(call, CONTROL_WAIT);
    if (call->later)
        verbs->wait(verbs->owner, call->ticket);
    return 0;
}

static int verbs_reopen(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    char why[64];
    if (verbs->reopen_logs(verbs->owner, verbs_why(why, sizeof why, call), call->error,
                           sizeof call->error) != 0)
        return -1;
    if (call->json)
        fputs("{\"done\": true}\n", call->body);
    return 0;
}

static int verbs_request(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    return verb_request(verbs->pools, call);
}

static int verbs_pools(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    for (size_t i = 0; i < verbs->pools->count; i++)
        fprintf(call->body, "%s\n", verbs->pools->items[i]->pool.name);
    return 0;
}

static int verbs_upgrade(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    char why[64], shown[128];
    if (call->argc > 0 && strcmp(call->argv[0], CONTROL_WAIT) != 0) {
        snprintf(call->error, sizeof call->error, "\"upgrade\" takes no \"%s\"",
                 text_show(shown, sizeof shown, call->argv[0]));
        return -1;
    }
    call->later = true;
    return verbs->upgrade(verbs->owner, verbs_why(why, sizeof why, call), call->ticket,
                          verbs_has(call, CONTROL_WAIT), call->error, sizeof call->error);
}

static int verbs_trace(void *context, struct control_call *call)
{
    const struct verbs *verbs = context;
    return verb_trace_run(verbs->pools, verbs->answer, verbs->owner, call);
}

const struct control_command verbs_table[] = {
    {CONTROL_PING, 0, verbs_ping},
    {CONTROL_STATUS, 1, verbs_status},
    {CONTROL_WORKERS, 1, verbs_workers},
    {CONTROL_CONFIG, 1, verbs_config},
    {CONTROL_STOP, 0, verbs_stop},
    {CONTROL_QUIT, 0, verbs_quit},
    {CONTROL_REOPEN_LOGS, 0, verbs_reopen},
    {CONTROL_RELOAD, CONTROL_ARGUMENTS_MAX, verbs_reload},
    {CONTROL_UPGRADE, 1, verbs_upgrade},
    {CONTROL_TRACE, 1, verbs_trace},
    {CONTROL_REQUEST, 2, verbs_request},
    {CONTROL_POOLS, 0, verbs_pools},
    {NULL, 0, NULL},
};
