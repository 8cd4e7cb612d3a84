/* commands.c: see commands.h. */
#include "fpm/control/commands.h"

#include "fpm/control/command_request.h"
#include "fpm/control/command_trace.h"
#include "fpm/control/control_proto.h"
#include "fpm/control/status_table.h"
#include "fpm/manager/status_publish.h"
#include "fpm/util/version.h"
#include "sapi-shim/status/status_json.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int commands_ping(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    const char *state = commands->state(commands->owner);
    if (call->json)
        fprintf(call->body, "{\"pid\": %d, \"state\": \"%s\", \"version\": \"%s\"}\n",
                (int)getpid(), state, OVERTIME_VERSION);
    else
        fprintf(call->body, "process %d, %s, version %s\n", (int)getpid(), state, OVERTIME_VERSION);
    return 0;
}

/* Is this pool asked for? A call without an argument asks for all. */
static bool commands_wanted(const struct control_server_call *call, const struct pool *pool)
{
    return call->argc == 0 || strcmp(call->argv[0], pool->name) == 0;
}

/* False with a sentence. */
static bool commands_exists(const struct commands *commands, struct control_server_call *call,
                            const char *name)
{
    char shown[128];
    for (size_t i = 0; i < commands->pools->count; i++)
        if (strcmp(name, commands->pools->items[i]->pool.name) == 0)
            return true;
    snprintf(call->error, sizeof call->error,
             "no pool \"%s\": `overtimectl status` shows which there are",
             escape_show(shown, sizeof shown, name));
    return false;
}

/* The pool a call names exists, or it names none. */
static bool commands_known(const struct commands *commands, struct control_server_call *call)
{
    return call->argc == 0 || commands_exists(commands, call, call->argv[0]);
}

/* Counts now, and not when something last happened. */
static void commands_count(const struct pool_set_item *item, struct status_pool *out)
{
    const struct pool *pool = &item->pool;
    struct status_source source = status_publish_source(pool->current);
    struct listen_queue_state state = {0};
    struct ot_pool_stats facts;
    (void)listen_queue_look(item->supervisor.queue, pool->listener.fd, &state);
    struct status_queue queue = {.waiting = state.waiting, .backlog = state.backlog};
    status_publish_stats(pool, pool->current, &facts);
    status_pool(&source, &facts, &queue, out);
    snprintf(out->name, sizeof out->name, "%s", pool->name);
}

static int commands_status(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    if (!commands_known(commands, call))
        return -1;
    const char *between = "";
    if (call->json)
        fprintf(call->body, "{\"pid\": %d, \"state\": \"%s\", \"pools\": [", (int)getpid(),
                commands->state(commands->owner));
    else if (call->argc == 0)
        status_table_pools_heading(call->body);
    for (size_t i = 0; i < commands->pools->count; i++) {
        struct status_pool pool;
        if (!commands_wanted(call, &commands->pools->items[i]->pool))
            continue;
        commands_count(commands->pools->items[i], &pool);
        fputs(between, call->body);
        between = call->json ? ", " : "";
        if (call->json)
            status_json_pool(call->body, &pool);
        else if (call->argc == 0)
            status_table_pools_line(call->body, &pool);
        else
            status_table_pool(call->body, &pool);
    }
    if (call->json)
        fputs("]}\n", call->body);
    return 0;
}

static void commands_workers_of(const char *pool, const struct generation *generation,
                                struct control_server_call *call, const char **between)
{
    struct status_source source = status_publish_source(generation);
    for (unsigned slot = 0; slot < source.count; slot++) {
        struct status_worker worker;
        if (!status_worker(&source, slot, &worker))
            continue;
        if (!call->json) {
            status_table_worker(call->body, pool, &worker);
            continue;
        }
        fputs(*between, call->body);
        *between = ", ";
        status_json_worker(call->body, pool, &worker);
    }
}

static int commands_workers(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    const char *between = "";
    if (!commands_known(commands, call))
        return -1;
    if (call->json)
        fputs("{\"workers\": [", call->body);
    else
        status_table_heading(call->body);
    for (size_t i = 0; i < commands->pools->count; i++) {
        const struct pool *pool = &commands->pools->items[i]->pool;
        if (!commands_wanted(call, pool))
            continue;
        commands_workers_of(pool->name, pool->current, call, &between);
        for (const struct generation *g = pool->older; g != NULL; g = g->older)
            commands_workers_of(pool->name, g, call, &between);
    }
    if (call->json)
        fputs("]}\n", call->body);
    return 0;
}

static int commands_config(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    const struct config *config = commands->config;
    const char *name = call->argc > 0 ? call->argv[0] : NULL;
    int result = -1;
    if (!commands_known(commands, call))
        return -1;
    errno = ENOENT; /* a pool that leaves has no section any more */
    if (call->json)
        result = config_json(config, name, call->body);
    else if (name == NULL)
        result = config_dump(config, call->body);
    for (size_t i = 0; i < config->pool_count && name != NULL && !call->json; i++)
        if (strcmp(config->pools[i].name, name) == 0)
            result = config_dump_pool(&config->pools[i], call->body);
    if (result == 0)
        return 0;
    snprintf(call->error, sizeof call->error, "cannot write: %s", strerror(errno));
    return -1;
}

/* For the log: which command, and who gave it. */
static const char *commands_why(char *why, size_t size, const struct control_server_call *call)
{
    if (call->uid == (uid_t)-1)
        snprintf(why, size, "control: %s", call->verb);
    else
        snprintf(why, size, "control: %s, asked by uid %u", call->verb, (unsigned)call->uid);
    return why;
}

static int commands_stop(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    char why[64];
    call->hold = true;
    commands->stop(commands->owner, POOL_STOP_NOW, commands_why(why, sizeof why, call));
    return 0;
}

static int commands_quit(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    char why[64];
    call->hold = true;
    commands->stop(commands->owner, POOL_STOP_GRACEFUL, commands_why(why, sizeof why, call));
    return 0;
}

/* The word is among the arguments. */
static bool commands_has(const struct control_server_call *call, const char *word)
{
    for (int i = 0; i < call->argc; i++)
        if (strcmp(call->argv[i], word) == 0)
            return true;
    return false;
}

/* What was done, a line for each, as JSON. */
static void commands_notes(FILE *out, char *lines)
{
    const char *between = "";
    char *line;
    fputs("{\"done\": true, \"notes\": [", out);
    while ((line = strsep(&lines, "\n")) != NULL) {
        if (*line == '\0')
            continue;
        fputs(between, out);
        escape_json(out, line);
        between = ", ";
    }
    fputs("]}\n", out);
}

static int commands_do_reload(const struct commands *commands, struct control_server_call *call,
                              const char *all, FILE *out)
{
    char why[64];
    return commands->reload(commands->owner, commands_why(why, sizeof why, call), all, out,
                            call->error, sizeof call->error);
}

static int commands_do_reload_json(const struct commands *commands,
                                   struct control_server_call *call, const char *all)
{
    char *lines = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&lines, &size);
    if (out == NULL) {
        snprintf(call->error, sizeof call->error, "out of memory");
        return -1;
    }
    int result = commands_do_reload(commands, call, all, out);
    bool whole = fclose(out) == 0 && lines != NULL;
    if (whole && result == 0)
        commands_notes(call->body, lines);
    free(lines);
    return result;
}

/* The pool that a reload names, "" = none; NULL with a sentence for what it does not take. */
static const char *commands_reload_pool(const struct commands *commands,
                                        struct control_server_call *call)
{
    const char *pool = "";
    char shown[128];
    for (int i = 0; i < call->argc; i++) {
        const char *word = call->argv[i];
        if (strcmp(word, CONTROL_ALL) == 0 || strcmp(word, CONTROL_WAIT) == 0)
            continue;
        if (*pool != '\0' || !commands_has(call, CONTROL_ALL)) {
            snprintf(
                call->error, sizeof call->error,
                "\"reload\" takes no \"%s\": the files are read as a whole, and a pool that did "
                "not change keeps its workers; `reload --all POOL` gives it new ones",
                escape_show(shown, sizeof shown, word));
            return NULL;
        }
        pool = word;
        if (!commands_exists(commands, call, pool))
            return NULL;
    }
    return pool;
}

static int commands_reload(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    const char *pool = commands_reload_pool(commands, call);
    if (pool == NULL)
        return -1;
    const char *all = commands_has(call, CONTROL_ALL) ? pool : NULL;
    if ((call->json ? commands_do_reload_json(commands, call, all)
                    : commands_do_reload(commands, call, all, call->body)) != 0)
        return -1;
    call->later = commands_has(call, CONTROL_WAIT);
    if (call->later)
        commands->wait(commands->owner, call->ticket);
    return 0;
}

static int commands_reopen(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    char why[64];
    if (commands->reopen_logs(commands->owner, commands_why(why, sizeof why, call), call->error,
                              sizeof call->error) != 0)
        return -1;
    if (call->json)
        fputs("{\"done\": true}\n", call->body);
    return 0;
}

static int commands_request(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    return command_request(commands->pools, call);
}

static int commands_upgrade(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    char why[64], shown[128];
    if (call->argc > 0 && strcmp(call->argv[0], CONTROL_WAIT) != 0) {
        snprintf(call->error, sizeof call->error, "\"upgrade\" takes no \"%s\"",
                 escape_show(shown, sizeof shown, call->argv[0]));
        return -1;
    }
    call->later = true;
    return commands->upgrade(commands->owner, commands_why(why, sizeof why, call), call->ticket,
                             commands_has(call, CONTROL_WAIT), call->error, sizeof call->error);
}

static int commands_trace(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    return command_trace_run(commands->pools, commands->answer, commands->owner, call);
}

const struct control_server_command commands_table[] = {
    {CONTROL_PING, 0, commands_ping},
    {CONTROL_STATUS, 1, commands_status},
    {CONTROL_WORKERS, 1, commands_workers},
    {CONTROL_CONFIG, 1, commands_config},
    {CONTROL_STOP, 0, commands_stop},
    {CONTROL_QUIT, 0, commands_quit},
    {CONTROL_REOPEN_LOGS, 0, commands_reopen},
    {CONTROL_RELOAD, CONTROL_SERVER_ARGUMENTS_MAX, commands_reload},
    {CONTROL_UPGRADE, 1, commands_upgrade},
    {CONTROL_TRACE, 1, commands_trace},
    {CONTROL_REQUEST, 2, commands_request},
    {NULL, 0, NULL},
};
