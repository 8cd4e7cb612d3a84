/* commands.c: see commands.h. */
#include "fpm/control/commands.h"

#include "fpm/control/control_proto.h"
#include "fpm/control/status_table.h"
#include "fpm/manager/status_publish.h"
#include "fpm/pool/request_tracking.h"
#include "fpm/slow_log/trace_runner.h"
#include "fpm/util/version.h"
#include "fpm/worker/exit_message.h"
#include "sapi-shim/status/status_write.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/scalar.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    COMMANDS_TRACE_DEPTH = 256,         /* frames: an operator wants all of them */
    COMMANDS_TRACE_OUTPUT_MAX = 8 << 20 /* bytes */
};

/* Refuses the call with a sentence. Returns -1. */
__attribute__((format(printf, 2, 3))) static int commands_fail(struct control_server_call *call,
                                                               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->error, sizeof call->error, format, arguments);
    va_end(arguments);
    return -1;
}

static int commands_ping(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    const char *state = commands->state(commands->owner);
    char since[32], starting[96] = "";
    int64_t longest = 0;
    unsigned count = 0;
    /* Workers that do not accept yet, and how long one of them has been starting. */
    for (size_t i = 0; i < commands->pools->count; i++) {
        int64_t age;
        count += worker_monitor_starting(&commands->pools->items[i]->supervisor.monitor, clock_ms(),
                                         &age);
        longest = age > longest ? age : longest;
    }
    scalar_duration(longest, since, sizeof since);
    if (count > 0)
        (void)snprintf(starting, sizeof starting, ", %u worker%s starting%s %s", count,
                       count == 1 ? "" : "s", count == 1 ? " for" : ", one for", since);
    if (call->json)
        fprintf(call->body,
                "{\"pid\": %d, \"state\": \"%s\", \"version\": \"%s\", \"starting\": %u, "
                "\"starting_ms\": %lld}\n",
                (int)getpid(), state, OVERTIME_VERSION, count, (long long)longest);
    else
        fprintf(call->body, "process %d, %s, version %s%s\n", (int)getpid(), state,
                OVERTIME_VERSION, starting);
    return 0;
}

/* NULL with a sentence. */
static const struct pool_set_item *commands_find(const struct commands *commands,
                                                 struct control_server_call *call, const char *name)
{
    char shown[128];
    for (size_t i = 0; i < commands->pools->count; i++)
        if (strcmp(name, commands->pools->items[i]->pool.name) == 0)
            return commands->pools->items[i];
    snprintf(call->error, sizeof call->error,
             "no pool \"%s\": `overtimectl status` shows which there are",
             escape_show(shown, sizeof shown, name));
    return NULL;
}

/* Does the named pool exist? A call may name none. */
static bool commands_known(const struct commands *commands, struct control_server_call *call)
{
    return call->argc == 0 || commands_find(commands, call, call->argv[0]) != NULL;
}

/* A call without an argument is about all pools. */
static bool commands_wanted(const struct control_server_call *call, const struct pool *pool)
{
    return call->argc == 0 || strcmp(call->argv[0], pool->name) == 0;
}

/* Reads the present numbers, not those last published. */
static void commands_count(struct pool_set_item *item, struct status_pool *out)
{
    struct pool *pool = &item->pool;
    struct status_source source = status_publish_source(pool->current);
    struct listen_queue_state state = {0};
    struct ot_pool_stats stats;
    (void)listen_queue_look(item->supervisor.queue, pool->listener.fd, &state);
    pool_filter_clients(pool);
    struct status_queue queue = {.waiting = state.waiting, .backlog = state.backlog};
    status_publish_stats(pool, pool->current, &stats);
    status_pool(&source, &stats, &queue, out);
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
            status_write_json_pool(call->body, &pool);
        else if (call->argc == 0)
            status_table_pools_line(call->body, &pool);
        else
            status_table_pool(call->body, &pool);
    }
    if (call->json)
        fputs("]}\n", call->body);
    else if (call->argc == 0)
        status_table_pools_legend(call->body);
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
        status_write_json_worker(call->body, pool, &worker);
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
        for (const struct generation *g = pool->current->older; g != NULL; g = g->older)
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
    errno = ENOENT; /* a pool that is being removed has no section any more */
    if (call->json)
        result = config_json(config, name, call->body);
    else if (name == NULL)
        result = config_dump(config, call->body);
    for (size_t i = 0; i < config->pool_count && name != NULL && !call->json; i++)
        if (strcmp(config->pools[i].name, name) == 0)
            result = config_dump_pool(&config->pools[i], call->body);
    if (result == 0)
        return 0;
    return commands_fail(call, "cannot write: %s", strerror(errno));
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

/* Stops the manager: "stop" now, "quit" when the workers have done their work. */
static int commands_stop(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    char why[64];
    bool now = strcmp(call->verb, CONTROL_STOP) == 0;
    call->hold = true;
    commands->stop(commands->owner, now ? POOL_STOP_NOW : POOL_STOP_GRACEFUL,
                   commands_why(why, sizeof why, call));
    return 0;
}

/* Is the word among the arguments? */
static bool commands_has(const struct control_server_call *call, const char *word)
{
    for (int i = 0; i < call->argc; i++)
        if (strcmp(call->argv[i], word) == 0)
            return true;
    return false;
}

/* The pool that a reload names, "" = none; NULL with a sentence for a wrong argument. */
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
        if (commands_find(commands, call, pool) == NULL)
            return NULL;
    }
    return pool;
}

static int commands_reload(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    char why[64], *notes = NULL;
    size_t size = 0;
    const char *pool = commands_reload_pool(commands, call);
    if (pool == NULL)
        return -1;
    FILE *out = call->json ? open_memstream(&notes, &size) : call->body;
    if (out == NULL)
        return commands_fail(call, "out of memory");
    /* The reload writes a note a line; JSON has them as an array. */
    int result = commands->reload(commands->owner, commands_why(why, sizeof why, call),
                                  commands_has(call, CONTROL_ALL) ? pool : NULL, out, call->error,
                                  sizeof call->error);
    if (call->json && fclose(out) == 0 && result == 0) {
        const char *between = "";
        char *lines = notes, *line;
        fputs("{\"done\": true, \"notes\": [", call->body);
        while ((line = strsep(&lines, "\n")) != NULL) {
            if (*line == '\0')
                continue;
            fputs(between, call->body);
            escape_json(call->body, line);
            between = ", ";
        }
        fputs("]}\n", call->body);
    }
    free(notes);
    if (result != 0)
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

/* ---- request ---- */

static int commands_request_begin(const struct pool_set_item *item,
                                  struct control_server_call *call)
{
    const struct value_parse_address *listen = &pool_settings(&item->pool)->listen;
    uint64_t mark;
    if (item->removed || item->pool.stop != POOL_STOP_NONE)
        return commands_fail(call, "pool %s stops and takes no more requests", item->pool.name);
    int64_t wait = backoff_wait(&item->pool.backoff, clock_ms());
    if (wait > 0 && pool_in_service(&item->pool) == 0) {
        char in[32];
        scalar_duration(wait, in, sizeof in);
        return commands_fail(
            call, "pool %s has no worker and is in back-off: the next start is in %s; %s",
            item->pool.name, in,
            *item->pool.failure != '\0' ? item->pool.failure
                                        : "the log says why its workers ended");
    }
    mark = request_tracking_begin();
    if (mark == 0)
        return commands_fail(call, "the kernel has no random number yet; try again");
    fprintf(call->body, "%" PRIu64, mark);
    if (listen->kind == VALUE_PARSE_ADDRESS_UNIX)
        fprintf(call->body, " unix %s\n", listen->path);
    else
        fprintf(call->body, " tcp %s %s\n", listen->host != NULL ? listen->host : "127.0.0.1",
                listen->port);
    return 0;
}

/* Finds the state of the request with this tracking id. If a worker changes its slot meanwhile, the
 * answer is "running", and the client asks again. */
static void commands_request_look(const struct pool *pool, uint64_t mark,
                                  struct request_tracking *out)
{
    bool unsure = false;
    for (const struct generation *g = pool->current; g != NULL; g = g->older) {
        for (unsigned i = 0; i < g->size; i++) {
            if (g->members[i].worker.state == WORKER_NONE)
                continue;
            if (request_tracking_look(mark, &g->scoreboard, i, g->members[i].worker.pid, out))
                return;
            unsure = unsure || out->state == REQUEST_TRACKING_RUNNING;
        }
    }
    if (!request_tracking_look_up_ended(mark, out))
        *out = (struct request_tracking){.state = unsure ? REQUEST_TRACKING_RUNNING
                                                         : REQUEST_TRACKING_UNSEEN};
}

/* "request POOL" tells where to send a request, "request POOL MARK" its state. The manager takes no
 * part in the request itself. */
static int commands_request(void *context, struct control_server_call *call)
{
    static const char *const words[] = {
        [REQUEST_TRACKING_UNSEEN] = CONTROL_MARK_UNSEEN,
        [REQUEST_TRACKING_RUNNING] = CONTROL_MARK_RUNNING,
        [REQUEST_TRACKING_ENDED] = CONTROL_MARK_ENDED,
        [REQUEST_TRACKING_DIED] = CONTROL_MARK_DIED,
        [REQUEST_TRACKING_LOST] = CONTROL_MARK_LOST,
    };
    const struct commands *commands = context;
    struct request_tracking found;
    if (call->argc == 0 || call->json)
        return commands_fail(call, "expected \"" CONTROL_REQUEST " POOL [MARK]\"");
    uint64_t mark = call->argc == 2 ? strtoull(call->argv[1], NULL, 10) : 0;
    const struct pool_set_item *item = commands_find(commands, call, call->argv[0]);
    if (item != NULL && call->argc == 1)
        return commands_request_begin(item, call);

    /* The pool may have been removed together with the worker. */
    if (item != NULL)
        commands_request_look(&item->pool, mark, &found);
    else if (!request_tracking_look_up_ended(mark, &found))
        return -1;
    fputs(words[found.state], call->body);
    if (found.state != REQUEST_TRACKING_UNSEEN)
        fprintf(call->body, " %d", (int)found.pid);
    if (found.state == REQUEST_TRACKING_ENDED || found.state == REQUEST_TRACKING_DIED)
        fprintf(call->body, " %" PRIu64, found.at);
    fputc('\n', call->body);
    return 0;
}

/* ---- upgrade and trace ---- */

static int commands_upgrade(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    char why[64], shown[128];
    if (call->argc > 0 && strcmp(call->argv[0], CONTROL_WAIT) != 0)
        return commands_fail(call, "\"upgrade\" takes no \"%s\"",
                             escape_show(shown, sizeof shown, call->argv[0]));
    call->later = true;
    return commands->upgrade(commands->owner, commands_why(why, sizeof why, call), call->ticket,
                             commands_has(call, CONTROL_WAIT), call->error, sizeof call->error);
}

/* A call that waits for the helper. */
struct commands_trace {
    void (*answer)(void *owner, unsigned ticket, const char *text, const char *why);
    void *owner;
    unsigned ticket;
    bool json;
};

static const struct generation_member *commands_trace_find(const struct pool_set *pools, pid_t pid)
{
    for (size_t i = 0; i < pools->count; i++) {
        const struct pool *pool = &pools->items[i]->pool;
        for (const struct generation *g = pool->current; g != NULL; g = g->older)
            for (unsigned slot = 0; slot < g->size; slot++) {
                const struct generation_member *member = &g->members[slot];
                if (member->worker.state != WORKER_NONE &&
                    (member->worker.pid == pid ||
                     scoreboard_program_pid(&g->scoreboard, slot, member->worker.pid) == pid))
                    return member;
            }
    }
    return NULL;
}

static void commands_trace_done(void *context, const struct trace_runner_result *result)
{
    struct commands_trace *waiting = context;
    const char *end = result->failure == NULL && waiting->json ? "}\n" : "";
    char *text = NULL;
    int length = asprintf(&text, "%.*s%s", (int)strcspn(result->text, waiting->json ? "\n" : ""),
                          result->text, end);
    waiting->answer(waiting->owner, waiting->ticket, length < 0 ? "" : text,
                    length < 0 ? "out of memory" : result->failure);
    if (length >= 0)
        free(text);
    free(waiting);
}

/* The part of the answer before the stack. */
static void commands_trace_head(const struct generation_member *member,
                                const struct slot_view *view, struct control_server_call *call)
{
    const char *pool = member->generation->pool->name;
    int pid = (int)member->worker.pid;
    char doing[EXIT_MESSAGE_MAX];
    exit_message_doing(view, clock_ns(), doing, sizeof doing);
    if (!call->json) {
        fprintf(call->body, "pool %s: worker %d (slot %u) %s\n", pool, pid, member->slot, doing);
        return;
    }
    fputs("{\"pool\": ", call->body);
    escape_json(call->body, pool);
    fprintf(call->body, ", \"pid\": %d, \"slot\": %u, \"doing\": ", pid, member->slot);
    escape_json(call->body, doing);
    fputs(", \"stack\": ", call->body);
}

/* The answer comes later, when a helper has looked at the worker. */
static int commands_trace(void *context, struct control_server_call *call)
{
    const struct commands *commands = context;
    char *rest, shown[128];
    const char *word = call->argc == 1 ? call->argv[0] : "";
    errno = 0;
    long pid = strtol(word, &rest, 10);
    if (*word < '0' || *word > '9' || *rest != '\0' || errno != 0 || pid <= 0 || pid > INT_MAX)
        return commands_fail(
            call, "\"%s\" is no process id: `trace` takes that of a worker, as `workers` shows",
            escape_show(shown, sizeof shown, word));
    const struct generation_member *member = commands_trace_find(commands->pools, (pid_t)pid);
    if (member == NULL)
        return commands_fail(call, "process %ld is no worker of this manager; `workers` shows them",
                             pid);
    struct commands_trace *waiting = malloc(sizeof *waiting);
    if (waiting == NULL)
        return commands_fail(call, "out of memory");
    *waiting = (struct commands_trace){commands->answer, commands->owner, call->ticket, call->json};
    struct slot_view view;
    slot_view_look(scoreboard_slot(&member->generation->scoreboard, member->slot), &view);
    commands_trace_head(member, &view, call);
    const struct trace_runner_job job = {
        .pid = scoreboard_program_pid(&member->generation->scoreboard, member->slot,
                                      member->worker.pid),
        .first = view.attached ? (pid_t)view.lead.tid : 0,
        .depth = COMMANDS_TRACE_DEPTH,
        .json = call->json,
        .output_max = COMMANDS_TRACE_OUTPUT_MAX,
        .done = commands_trace_done,
        .context = waiting,
    };
    if (trace_runner_start(&job, call->error, sizeof call->error) != 0) {
        free(waiting);
        return -1;
    }
    call->later = true;
    return 0;
}

const struct control_server_command commands_table[] = {
    {CONTROL_PING, 0, commands_ping},
    {CONTROL_STATUS, 1, commands_status},
    {CONTROL_WORKERS, 1, commands_workers},
    {CONTROL_CONFIG, 1, commands_config},
    {CONTROL_STOP, 0, commands_stop},
    {CONTROL_QUIT, 0, commands_stop},
    {CONTROL_REOPEN_LOGS, 0, commands_reopen},
    {CONTROL_RELOAD, CONTROL_SERVER_ARGUMENTS_MAX, commands_reload},
    {CONTROL_UPGRADE, 1, commands_upgrade},
    {CONTROL_TRACE, 1, commands_trace},
    {CONTROL_REQUEST, 2, commands_request},
    {NULL, 0, NULL},
};
