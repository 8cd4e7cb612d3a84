/* upgrade_state.c: see upgrade_state.h. */
#include "fpm/upgrade/upgrade_state.h"

#include "fpm/access_log/access_log.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <unistd.h>

enum {
    UPGRADE_STATE_CONFIGS_MAX = 4096
};

/* ---- configurations ---- */

static int upgrade_state_add(struct upgrade_state_configs *configs, struct config *config)
{
    for (size_t i = 0; i < configs->count; i++)
        if (configs->items[i] == config)
            return 0;
    struct config **grown =
        reallocarray(configs->items, configs->count + 1, sizeof(struct config *));
    if (grown == NULL)
        return -1;
    configs->items = grown;
    configs->items[configs->count++] = config_keep(config);
    return 0;
}

/* A pool's older generations are stopping already; the settings of the current one do for them. */
int upgrade_state_collect(struct upgrade_state_configs *configs, const struct pool_set *pools)
{
    *configs = (struct upgrade_state_configs){0};
    int result = upgrade_state_add(configs, pools->config);
    for (size_t i = 0; i < pools->count && result == 0; i++)
        result = upgrade_state_add(configs, pools->items[i]->pool.current->config);
    if (result != 0)
        upgrade_state_free(configs);
    return result;
}

void upgrade_state_free(struct upgrade_state_configs *configs)
{
    for (size_t i = 0; i < configs->count; i++)
        config_free(&configs->items[i]);
    free(configs->items);
    *configs = (struct upgrade_state_configs){0};
}

static void upgrade_state_save_text(struct saved_state *state, struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool good = out != NULL && config_dump(config, out) == 0;
    if (out != NULL)
        good = fclose(out) == 0 && good;
    if (!good)
        saved_state_refuse(state, "out of memory");
    saved_state_text(state, "conf_file", &config->file);
    saved_state_bytes(state, "conf_text", &text, &size);
    free(text);
}

static struct config *upgrade_state_load(struct saved_state *state, const char *text, size_t size,
                                         unsigned flags)
{
    char path[64];
    struct config_report report = {0};
    int fd = memfd_create("overtime-configuration", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || pwrite(fd, text, size, 0) != (ssize_t)size) {
        saved_state_refuse(state, "cannot read the configuration: %s", strerror(errno));
        fd_close(&fd);
        return NULL;
    }
    struct config *config = config_load(path, flags, &report);
    if (config == NULL) {
        /* Without the place, which is in no file that the operator has. */
        const char *first = report.errors.count > 0 ? report.errors.items[0] : "out of memory";
        const char *what = *first == '/' ? strstr(first, ": ") : NULL;
        saved_state_refuse(state,
                           "the configuration in force, or an older one that still has workers, "
                           "does not work with this version: %s",
                           what != NULL ? what + 2 : first);
    }
    config_report_free(&report);
    fd_close(&fd);
    return config;
}

static void upgrade_state_restore_text(struct upgrade_state_configs *configs,
                                       struct saved_state *state, unsigned flags)
{
    char *file = NULL, *text = NULL;
    size_t size = 0;
    struct config *config = NULL;
    saved_state_text(state, "conf_file", &file);
    saved_state_bytes(state, "conf_text", &text, &size);
    if (file != NULL && text != NULL)
        config = upgrade_state_load(state, text, size, flags);
    if (config != NULL) {
        free(config->file);
        config->file = file;
        file = NULL;
        if (upgrade_state_add(configs, config) != 0)
            saved_state_refuse(state, "out of memory");
    } else {
        saved_state_refuse(state, "there is no configuration");
    }
    config_free(&config);
    free(file);
    free(text);
}

void upgrade_state_texts(struct upgrade_state_configs *configs, struct saved_state *state,
                         unsigned flags)
{
    if (state->mode != SAVED_STATE_SAVE)
        *configs = (struct upgrade_state_configs){0};
    size_t count = (size_t)saved_state_number(state, "confs", (int64_t)configs->count, 1,
                                              UPGRADE_STATE_CONFIGS_MAX);
    for (size_t i = 0; i < count && saved_state_good(state); i++) {
        if (state->mode == SAVED_STATE_SAVE)
            upgrade_state_save_text(state, configs->items[i]);
        else
            upgrade_state_restore_text(configs, state, flags);
    }
}

/* ---- one worker ---- */

static void upgrade_state_output(struct saved_state *state, struct output_capture *capture)
{
    capture->fd = saved_state_fd(state, "output", capture->fd);
    saved_state_bytes(state, "output_begun", &capture->buffer, &capture->used);
    capture->inside = saved_state_flag(state, "output_inside", capture->inside);
}

static void upgrade_state_worker(struct saved_state *state, struct worker *worker)
{
    int64_t now = clock_ms(), left = worker->stop_at >= 0 ? MAX(worker->stop_at - now, 0) : -1;
    worker->pid = (pid_t)saved_state_number(state, "pid", worker->pid, 1, INT32_MAX);
    worker->state = (enum worker_state)saved_state_number(state, "state", worker->state,
                                                          WORKER_STARTING, WORKER_STATE_COUNT - 1);
    saved_state_int64(state, "started", &worker->started);
    worker->stop_requested = saved_state_flag(state, "signalled", worker->stop_requested);
    saved_state_int64(state, "asked_since", &worker->stop_since);
    left = saved_state_number(state, "patience", left, -1, INT64_MAX / 2);
    worker->stop_at = left >= 0 ? now + left : -1;
    worker->report_fd = saved_state_fd(state, "report", worker->report_fd);
}

/* Processes of the worker that its process group does not name. */
static void upgrade_state_tree(struct saved_state *state, struct worker *worker)
{
    struct process_tree *tree = &worker->tree;
    char *bytes = (char *)tree->remembered;
    size_t size = tree->remembered_count * sizeof *tree->remembered;
    tree->led = saved_state_flag(state, "led", tree->led);
    worker->status = (int)saved_state_number(state, "status", worker->status, INT32_MIN, INT32_MAX);
    saved_state_bytes(state, "below", &bytes, &size);
    tree->remembered = (struct process_tree_key *)(void *)bytes;
    tree->remembered_count =
        (unsigned)MIN(size / sizeof *tree->remembered, (size_t)PROCESS_TREE_REMEMBERED_MAX);
}

static void upgrade_state_member(struct saved_state *state, struct generation_member *member)
{
    saved_state_unsigned(state, "slot", &member->slot);
    upgrade_state_worker(state, &member->worker);
    member->stop_reason = (enum exit_cause_stop)saved_state_number(
        state, "asked", member->stop_reason, 0, EXIT_CAUSE_STOP_COUNT - 1);
    member->stop_sent = saved_state_flag(state, "told", member->stop_sent);
    saved_state_int64(state, "grace_ends", &member->grace_ends);
    member->all_told = saved_state_flag(state, "all_told", member->all_told);
    member->asked = (pid_t)saved_state_number(state, "program_asked", member->asked, 0, INT32_MAX);
    upgrade_state_tree(state, &member->worker);
    upgrade_state_output(state, &member->output.capture);
    upgrade_state_output(state, &member->error.capture);
    upgrade_state_output(state, &member->messages.capture);
}

/* ---- one generation ---- */

static void upgrade_state_generation(struct saved_state *state, struct generation *generation)
{
    struct scoreboard *board = &generation->scoreboard;
    struct generation_channels *channels = generation->channels;
    saved_state_unsigned(state, "generation", &generation->number);
    board->fd = saved_state_fd(state, "board", board->fd);
    if (state->version == 3) { /* it kept a descriptor for reading, too */
        int read_fd = saved_state_fd(state, "board_read", -1);
        fd_close(&read_fd);
    }
    board->offset =
        (size_t)saved_state_number(state, "board_offset", (int64_t)board->offset, 0, INT32_MAX);
    board->stride =
        (size_t)saved_state_number(state, "board_stride", (int64_t)board->stride, 4096, INT32_MAX);
    board->count = (unsigned)saved_state_number(state, "board_slots", board->count, 1, INT32_MAX);
    channels->doorbell_fd = saved_state_fd(state, "doorbell", channels->doorbell_fd);
    channels->handoff[0] = saved_state_fd(state, "handoff_in", channels->handoff[0]);
    channels->handoff[1] = saved_state_fd(state, "handoff_out", channels->handoff[1]);
    access_log_saved_reference(&generation->access, state,
                               generation->pool != NULL ? generation->pool->access_format : NULL);
    generation->live =
        (unsigned)saved_state_number(state, "workers", generation->live, 0, board->count);
}

static void upgrade_state_save_generation(struct saved_state *state, struct generation *generation)
{
    if (scoreboard_share(&generation->scoreboard) != 0)
        saved_state_refuse(state, "pool %s: cannot keep its scoreboard: %s", generation->pool->name,
                           strerror(errno));
    upgrade_state_generation(state, generation);
    for (unsigned i = 0; i < generation->size; i++)
        if (generation->members[i].worker.state != WORKER_NONE)
            upgrade_state_member(state, &generation->members[i]);
}

/* What generation_adopt needs to know of it. NULL with a fault. */
static struct generation *upgrade_state_read_generation(struct saved_state *state)
{
    static const struct generation_member none = {.worker = {.report_fd = -1, .stop_at = -1},
                                                  .output.capture = {.fd = -1},
                                                  .error.capture = {.fd = -1},
                                                  .messages.capture = {.fd = -1}};
    struct generation *generation = calloc(1, sizeof *generation);
    struct generation_channels *channels = calloc(1, sizeof *channels);
    if (generation == NULL || channels == NULL) {
        free(generation);
        free(channels);
        saved_state_refuse(state, "out of memory");
        return NULL;
    }
    generation->channels = channels;
    upgrade_state_generation(state, generation);
    if (saved_state_good(state) && generation->live > 0) {
        generation->members = calloc(generation->live, sizeof *generation->members);
        if (generation->members == NULL)
            saved_state_refuse(state, "out of memory");
    }
    unsigned count = generation->members != NULL ? generation->live : 0;
    for (; saved_state_good(state) && generation->size < count; generation->size++) {
        generation->members[generation->size] = none;
        upgrade_state_member(state, &generation->members[generation->size]);
    }
    return generation;
}

static void upgrade_state_free_generations(struct generation *generation)
{
    while (generation != NULL) {
        struct generation *older = generation->older;
        for (unsigned i = 0; i < generation->size; i++) {
            struct generation_member *member = &generation->members[i];
            free(member->worker.tree.remembered);
            free(member->output.capture.buffer);
            free(member->error.capture.buffer);
            free(member->messages.capture.buffer);
        }
        free(generation->members);
        free(generation->channels);
        free(generation);
        generation = older;
    }
}

/* ---- one pool ---- */

/* An older program may have written fewer counters; the rest stay 0. */
static void upgrade_state_counts(struct saved_state *state, const char *name, uint64_t *values,
                                 size_t count)
{
    count = (size_t)saved_state_number(state, name, (int64_t)count, 0, (int64_t)count);
    for (size_t i = 0; i < count && saved_state_good(state); i++)
        saved_state_uint64(state, "count", &values[i]);
}

static void upgrade_state_stats(struct saved_state *state, struct ot_pool_stats *stats)
{
    struct ot_counts *gone = &stats->elsewhere;
    saved_state_uint64(state, "spawned", &stats->spawned);
    saved_state_uint64(state, "died", &stats->died);
    saved_state_uint64(state, "start_failures", &stats->start_failures);
    upgrade_state_counts(state, "ended", stats->ended, EXIT_CAUSE_COUNT);
    upgrade_state_counts(state, "exits", stats->exits, OT_STATUSES);
    upgrade_state_counts(state, "signals", stats->signals, OT_SIGNALS_MAX);
    saved_state_uint64(state, "over_budget", &stats->over_budget_episodes);
    saved_state_uint64(state, "at_max", &stats->max_children_reached);
    saved_state_uint64(state, "slow", &stats->slow_requests);
    if (state->version > 3)
        saved_state_uint64(state, "refused_packets", &stats->refused_packets);

    saved_state_uint64(state, "requests", &gone->requests);
    saved_state_uint64(state, "finished", &gone->finished);
    saved_state_uint64(state, "aborted", &gone->aborted);
    saved_state_uint64(state, "timed_out", &gone->timed_out);
    saved_state_uint64(state, "dropped", &gone->dropped);
    saved_state_uint64(state, "discarded", &gone->discarded);
    saved_state_uint64(state, "shutdown_run", &gone->shutdown_run);
    saved_state_uint64(state, "shutdown_late", &gone->shutdown_late);
    saved_state_uint64(state, "shutdown_lost", &gone->shutdown_lost);
    if (state->version > 3)
        saved_state_uint64(state, "refused_clients", &gone->refused_clients);
    for (size_t i = 0; i < OT_MEASURE_COUNT; i++) {
        saved_state_uint64(state, "sum", &gone->measures[i].sum);
        upgrade_state_counts(state, "buckets", gone->measures[i].buckets, OT_BUCKETS);
    }
}

static void upgrade_state_pool(struct saved_state *state, struct pool_set_item *item)
{
    struct pool *pool = &item->pool;
    struct pool_supervisor *supervisor = &item->supervisor;
    struct pool_seen *seen = &pool->seen;
    char *failure = pool->failure;
    saved_state_unsigned(state, "number", &pool->number);
    pool->older_retired = saved_state_flag(state, "handed_over", pool->older_retired);
    saved_state_unsigned(state, "first", &pool->first);
    saved_state_unsigned(state, "first_started", &pool->started);
    saved_state_unsigned(state, "first_failed", &pool->failed);
    saved_state_unsigned(state, "cut_off", &pool->cut_off);
    saved_state_text(state, "failure", &failure);
    if (failure != pool->failure) {
        snprintf(pool->failure, sizeof pool->failure, "%s", failure != NULL ? failure : "");
        free(failure);
    }
    pool->stop = (enum pool_stop)saved_state_number(state, "stop", pool->stop, 0, POOL_STOP_KILL);
    saved_state_unsigned(state, "failures", &pool->backoff.failures);
    saved_state_int64(state, "failed_last", &pool->backoff.last);
    saved_state_int64(state, "back_at", &pool->backoff.until);
    saved_state_uint64(state, "served_at_failure", &pool->served_at_failure);
    saved_state_int64(state, "opened", &pool->opened);
    pool->opened_time =
        (time_t)saved_state_number(state, "opened_time", pool->opened_time, 0, INT64_MAX);
    upgrade_state_stats(state, &pool->stats);
    socket_saved_state(&pool->listener, state);
    socket_saved_state(&pool->former, state);
    if (state->version > 3)
        pool->filter_stays = saved_state_flag(state, "filter_stays", pool->filter_stays);

    supervisor->first_due = saved_state_flag(state, "first_due", supervisor->first_due);
    supervisor->over.on = saved_state_flag(state, "over_budget_told", supervisor->over.on);
    supervisor->full.on = saved_state_flag(state, "at_max_told", supervisor->full.on);
    saved_state_unsigned(state, "most_waiting", &seen->most_waiting);
    saved_state_unsigned(state, "most_active", &seen->most_active);
    saved_state_unsigned(state, "most_post", &seen->most_post);
}

static void upgrade_state_save_item(const struct upgrade_state_configs *configs,
                                    struct saved_state *state, struct pool_set_item *item)
{
    struct pool *pool = &item->pool;
    int64_t index = 0, count = 0;
    while (configs->items[index] != pool->current->config)
        index++;
    for (const struct generation *g = pool->current; g != NULL; g = g->older)
        count++;
    saved_state_text(state, "pool", &pool->name);
    (void)saved_state_flag(state, "leaving", item->removed);
    (void)saved_state_number(state, "pool_conf", index, 0, INT32_MAX);
    upgrade_state_pool(state, item);
    (void)saved_state_number(state, "generations", count, 1, INT32_MAX);
    for (struct generation *g = pool->current; g != NULL; g = g->older)
        upgrade_state_save_generation(state, g);
}

/* Reads all of a pool before anything of it is made. */
static void upgrade_state_adopt_item(const struct upgrade_state_configs *configs,
                                     struct saved_state *state, struct pool_set *pools)
{
    struct pool_set_item item = {.pool = {.listener = SOCKET_NONE, .former = SOCKET_NONE}};
    struct generation **link = &item.pool.current;
    struct config *config = NULL;
    const struct config_pool *settings = NULL;
    char why[ERROR_SIZE];
    saved_state_text(state, "pool", &item.pool.name);
    item.removed = saved_state_flag(state, "leaving", false);
    int64_t index = saved_state_number(state, "pool_conf", 0, 0, (int64_t)configs->count - 1);
    upgrade_state_pool(state, &item);
    int64_t generations = saved_state_number(state, "generations", 0, 1, INT32_MAX);
    for (int64_t i = 0; i < generations && saved_state_good(state); i++) {
        *link = upgrade_state_read_generation(state);
        link = *link != NULL ? &(*link)->older : link;
    }

    if (saved_state_good(state) && item.pool.name != NULL)
        config = configs->items[index];
    for (size_t i = 0; config != NULL && settings == NULL && i < config->pool_count; i++)
        if (strcmp(config->pools[i].name, item.pool.name) == 0)
            settings = &config->pools[i];
    if (settings == NULL)
        saved_state_refuse(state, "pool %s is in no configuration",
                           item.pool.name != NULL ? item.pool.name : "?");
    if (settings == NULL || state->mode != SAVED_STATE_RESTORE) {
        socket_disown(&item.pool.listener);
        socket_disown(&item.pool.former);
        free(item.pool.name);
    } else if (pool_set_adopt(pools, &item, config, settings, why, sizeof why) != 0) {
        saved_state_refuse(state, "pool %s: %s", settings->name, why);
    }
    /* In format 3 each generation has descriptors of its own for the same channels. */
    if (state->version == 3 && item.pool.current != NULL)
        for (struct generation *g = item.pool.current->older; g != NULL; g = g->older)
            generation_close_channels(g->channels);
    upgrade_state_free_generations(item.pool.current);
}

void upgrade_state_pools(const struct upgrade_state_configs *configs, struct saved_state *state,
                         struct pool_set *pools)
{
    int64_t count = state->mode == SAVED_STATE_SAVE ? (int64_t)pools->count : 0;
    count = saved_state_number(state, "pools", count, 1, INT32_MAX);
    for (int64_t i = 0; i < count && saved_state_good(state); i++) {
        if (state->mode == SAVED_STATE_SAVE)
            upgrade_state_save_item(configs, state, pools->items[i]);
        else
            upgrade_state_adopt_item(configs, state, pools);
    }
}

bool upgrade_state_foreign(const struct pool_set *pools)
{
    for (size_t i = 0; i < pools->count; i++)
        if (!pools->items[i]->removed && pools->items[i]->pool.current->scoreboard.foreign)
            return true;
    return false;
}
