/* command_request.c: see command_request.h. */
#include "fpm/control/command_request.h"

#include "fpm/control/control_proto.h"
#include "fpm/pool/request_tracking.h"
#include "sapi-shim/util/escape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int command_request_find(const struct pool_set_item *item, struct control_server_call *call)
{
    const struct value_parse_address *listen = &pool_settings(&item->pool)->listen;
    uint64_t mark;
    if (item->removed || item->pool.stop != POOL_STOP_NONE) {
        snprintf(call->error, sizeof call->error, "pool %s stops and takes no more requests",
                 item->pool.name);
        return -1;
    }
    mark = request_tracking_begin();
    if (mark == 0) {
        snprintf(call->error, sizeof call->error, "the kernel has no random number yet; try again");
        return -1;
    }
    fprintf(call->body, "%" PRIu64, mark);
    if (listen->kind == VALUE_PARSE_ADDRESS_UNIX)
        fprintf(call->body, " unix %s\n", listen->path);
    else
        fprintf(call->body, " tcp %s %s\n", listen->host != NULL ? listen->host : "127.0.0.1",
                listen->port);
    return 0;
}

/* Where nothing is known for certain of a mark, it is asked for again. */
static void command_request_look(const struct pool *pool, uint64_t mark,
                                 struct request_tracking *out)
{
    bool unsure = false;
    for (const struct generation *g = pool->current; g != NULL;
         g = g == pool->current ? pool->older : g->older) {
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

static void command_request_tell(const struct request_tracking *found, FILE *out)
{
    static const char *const words[] = {
        [REQUEST_TRACKING_UNSEEN] = CONTROL_MARK_UNSEEN,
        [REQUEST_TRACKING_RUNNING] = CONTROL_MARK_RUNNING,
        [REQUEST_TRACKING_ENDED] = CONTROL_MARK_ENDED,
        [REQUEST_TRACKING_DIED] = CONTROL_MARK_DIED,
        [REQUEST_TRACKING_LOST] = CONTROL_MARK_LOST,
    };
    fputs(words[found->state], out);
    if (found->state != REQUEST_TRACKING_UNSEEN)
        fprintf(out, " %d", (int)found->pid);
    if (found->state == REQUEST_TRACKING_ENDED || found->state == REQUEST_TRACKING_DIED)
        fprintf(out, " %" PRIu64, found->at);
    fputc('\n', out);
}

int command_request(const struct pool_set *pools, struct control_server_call *call)
{
    struct request_tracking found;
    char shown[128];
    uint64_t mark = call->argc == 2 ? strtoull(call->argv[1], NULL, 10) : 0;
    if (call->argc == 0 || call->json) {
        snprintf(call->error, sizeof call->error, "expected \"" CONTROL_REQUEST " POOL [MARK]\"");
        return -1;
    }
    for (size_t i = 0; i < pools->count; i++) {
        if (strcmp(pools->items[i]->pool.name, call->argv[0]) != 0)
            continue;
        if (call->argc == 1)
            return command_request_find(pools->items[i], call);
        command_request_look(&pools->items[i]->pool, mark, &found);
        command_request_tell(&found, call->body);
        return 0;
    }
    /* The pool may be gone, with the worker. */
    if (request_tracking_look_up_ended(mark, &found)) {
        command_request_tell(&found, call->body);
        return 0;
    }
    snprintf(call->error, sizeof call->error,
             "no pool \"%s\": `overtimectl status` shows which there are",
             escape_show(shown, sizeof shown, call->argv[0]));
    return -1;
}
