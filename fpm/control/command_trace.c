/* command_trace.c: see command_trace.h. */
#include "fpm/control/command_trace.h"

#include "fpm/slow_log/trace_runner.h"
#include "fpm/worker/exit_message.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMMAND_TRACE_DEPTH = 256,         /* frames: an operator who asks wants all */
    COMMAND_TRACE_OUTPUT_MAX = 8 << 20 /* bytes */
};

/* Who waits for the answer. */
struct command_trace {
    void (*answer)(void *owner, unsigned ticket, const char *text, const char *why);
    void *owner;
    unsigned ticket;
    bool json;
};

static const struct generation_member *command_trace_in(const struct generation *generation,
                                                        pid_t pid)
{
    for (unsigned i = 0; i < generation->size; i++) {
        const struct generation_member *member = &generation->members[i];
        if (member->worker.state != WORKER_NONE &&
            (member->worker.pid == pid ||
             scoreboard_program_pid(&generation->scoreboard, i, member->worker.pid) == pid))
            return member;
    }
    return NULL;
}

static const struct generation_member *command_trace_find(const struct pool_set *pools, pid_t pid)
{
    const struct generation_member *found = NULL;
    for (size_t i = 0; found == NULL && i < pools->count; i++) {
        const struct pool *pool = &pools->items[i]->pool;
        found = command_trace_in(pool->current, pid);
        for (const struct generation *g = pool->older; found == NULL && g != NULL; g = g->older)
            found = command_trace_in(g, pid);
    }
    return found;
}

static void command_trace_done(void *context, const struct trace_runner_result *result)
{
    struct command_trace *waiting = context;
    const char *end = result->failure == NULL && waiting->json ? "}\n" : "";
    char *text = NULL;
    if (asprintf(&text, "%.*s%s", (int)strcspn(result->text, waiting->json ? "\n" : ""),
                 result->text, end) < 0)
        waiting->answer(waiting->owner, waiting->ticket, "", "out of memory");
    else
        waiting->answer(waiting->owner, waiting->ticket, text, result->failure);
    free(text);
    free(waiting);
}

/* What stands before the stack. */
static void command_trace_head(const struct generation_member *member,
                               struct control_server_call *call)
{
    const char *pool = member->generation->pool->name;
    int pid = (int)member->worker.pid;
    char doing[EXIT_MESSAGE_MAX];
    struct slot_view view;
    scoreboard_view(&member->generation->scoreboard, member->slot, &view);
    exit_message_doing(&view, clock_ns(), doing, sizeof doing);
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

static int command_trace_start(const struct generation_member *member,
                               struct command_trace *waiting, struct control_server_call *call)
{
    struct slot_view view;
    scoreboard_view(&member->generation->scoreboard, member->slot, &view);
    const struct trace_runner_job job = {
        .pid = scoreboard_program_pid(&member->generation->scoreboard, member->slot,
                                      member->worker.pid),
        .first = view.attached ? (pid_t)view.lead.tid : 0,
        .depth = COMMAND_TRACE_DEPTH,
        .json = call->json,
        .output_max = COMMAND_TRACE_OUTPUT_MAX,
        .done = command_trace_done,
        .context = waiting,
    };
    return trace_runner_start(&job, call->error, sizeof call->error);
}

int command_trace_run(const struct pool_set *pools,
                      void (*answer)(void *owner, unsigned ticket, const char *text,
                                     const char *why),
                      void *owner, struct control_server_call *call)
{
    char *rest, shown[128];
    const char *word = call->argc == 1 ? call->argv[0] : "";
    errno = 0;
    long pid = strtol(word, &rest, 10);
    if (*word < '0' || *word > '9' || *rest != '\0' || errno != 0 || pid <= 0 || pid > INT_MAX) {
        snprintf(call->error, sizeof call->error,
                 "\"%s\" is no process number: `trace` takes that of a worker, as `workers` shows",
                 escape_show(shown, sizeof shown, word));
        return -1;
    }
    const struct generation_member *member = command_trace_find(pools, (pid_t)pid);
    if (member == NULL) {
        snprintf(call->error, sizeof call->error,
                 "process %ld is no worker of this manager; `workers` shows them", pid);
        return -1;
    }
    struct command_trace *waiting = malloc(sizeof *waiting);
    if (waiting == NULL) {
        snprintf(call->error, sizeof call->error, "out of memory");
        return -1;
    }
    *waiting = (struct command_trace){answer, owner, call->ticket, call->json};
    command_trace_head(member, call);
    if (command_trace_start(member, waiting, call) != 0) {
        free(waiting);
        return -1;
    }
    call->later = true;
    return 0;
}
