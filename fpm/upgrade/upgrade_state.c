/* upgrade_state.c: see upgrade_state.h. */
#include "fpm/upgrade/upgrade_state.h"

#include "fpm/log/log.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    UPGRADE_STATE_CONFS_MAX = 4096
};

/* ---- configurations ---- */

static int upgrade_state_add(struct upgrade_state *upgrade_state, struct config *config)
{
    for (size_t i = 0; i < upgrade_state->count; i++)
        if (upgrade_state->confs[i] == config)
            return 0;
    struct config **grown =
        reallocarray(upgrade_state->confs, upgrade_state->count + 1, sizeof(struct config *));
    if (grown == NULL)
        return -1;
    upgrade_state->confs = grown;
    upgrade_state->confs[upgrade_state->count++] = config_keep(config);
    return 0;
}

/* A pool's older generations have been asked to go; the settings of the current one will do. */
int upgrade_state_gather(struct upgrade_state *upgrade_state, const struct pool_set *pools)
{
    *upgrade_state = (struct upgrade_state){0};
    int result = upgrade_state_add(upgrade_state, pools->config);
    for (size_t i = 0; i < pools->count && result == 0; i++)
        result = upgrade_state_add(upgrade_state, pools->items[i]->pool.current->config);
    if (result != 0)
        upgrade_state_free(upgrade_state);
    return result;
}

void upgrade_state_free(struct upgrade_state *upgrade_state)
{
    for (size_t i = 0; i < upgrade_state->count; i++)
        config_free(&upgrade_state->confs[i]);
    free(upgrade_state->confs);
    *upgrade_state = (struct upgrade_state){0};
}

static void upgrade_state_write_conf(struct saved_state *paper, struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool good = out != NULL && config_dump(config, out) == 0;
    if (out != NULL)
        good = fclose(out) == 0 && good;
    if (!good)
        saved_state_refuse(paper, "out of memory");
    saved_state_text(paper, "conf_file", &config->file);
    saved_state_bytes(paper, "conf_text", &text, &size);
    free(text);
}

/* What is wrong, without the place, which is in no file. */
static void upgrade_state_tell(struct saved_state *paper, const struct config_report *report)
{
    const char *first = report->errors.count > 0 ? report->errors.items[0] : "out of memory";
    const char *what = *first == '/' ? strstr(first, ": ") : NULL;
    saved_state_refuse(paper,
                       "the configuration that is in force, or was and has workers still, does not "
                       "work with this version: %s",
                       what != NULL ? what + 2 : first);
}

static struct config *upgrade_state_load(struct saved_state *paper, const char *text, size_t size,
                                         unsigned flags)
{
    char path[64];
    struct config_report report = {0};
    int fd = memfd_create("overtime-configuration", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || pwrite(fd, text, size, 0) != (ssize_t)size) {
        saved_state_refuse(paper, "cannot read the configuration: %s", strerror(errno));
        fd_close(&fd);
        return NULL;
    }
    struct config *config = config_load(path, flags, &report);
    if (config == NULL)
        upgrade_state_tell(paper, &report);
    config_report_free(&report);
    fd_close(&fd);
    return config;
}

static void upgrade_state_read_conf(struct upgrade_state *upgrade_state, struct saved_state *paper,
                                    unsigned flags)
{
    char *file = NULL, *text = NULL;
    size_t size = 0;
    struct config *config = NULL;
    saved_state_text(paper, "conf_file", &file);
    saved_state_bytes(paper, "conf_text", &text, &size);
    if (file != NULL && text != NULL)
        config = upgrade_state_load(paper, text, size, flags);
    if (config != NULL) {
        free(config->file);
        config->file = file;
        file = NULL;
        if (upgrade_state_add(upgrade_state, config) != 0)
            saved_state_refuse(paper, "out of memory");
    } else {
        saved_state_refuse(paper, "there is no configuration");
    }
    config_free(&config);
    free(file);
    free(text);
}

void upgrade_state_confs(struct upgrade_state *upgrade_state, struct saved_state *paper,
                         unsigned flags)
{
    if (paper->mode != SAVED_STATE_WRITE)
        *upgrade_state = (struct upgrade_state){0};
    size_t count = (size_t)saved_state_number(paper, "confs", (int64_t)upgrade_state->count, 1,
                                              UPGRADE_STATE_CONFS_MAX);
    for (size_t i = 0; i < count && saved_state_good(paper); i++) {
        if (paper->mode == SAVED_STATE_WRITE)
            upgrade_state_write_conf(paper, upgrade_state->confs[i]);
        else
            upgrade_state_read_conf(upgrade_state, paper, flags);
    }
}

/* ---- one worker ---- */

static void upgrade_state_line(struct saved_state *paper, struct generation_partial_line *line)
{
    line->fd = saved_state_fd(paper, "output", line->fd);
    saved_state_bytes(paper, "output_begun", &line->begun, &line->size);
    line->inside = saved_state_flag(paper, "output_inside", line->inside);
}

static void upgrade_state_member(struct saved_state *paper, struct generation_member_saved *heir)
{
    struct worker_heir *worker = &heir->worker;
    heir->slot = (unsigned)saved_state_number(paper, "slot", heir->slot, 0, UINT32_MAX);
    worker->pid = (pid_t)saved_state_number(paper, "pid", worker->pid, 1, INT32_MAX);
    worker->state = (enum worker_state)saved_state_number(paper, "state", worker->state,
                                                          WORKER_STARTING, WORKER_STATE_COUNT - 1);
    worker->started = saved_state_number(paper, "started", worker->started, 0, INT64_MAX);
    worker->asked = saved_state_flag(paper, "signalled", worker->asked);
    worker->asked_since =
        saved_state_number(paper, "asked_since", worker->asked_since, 0, INT64_MAX);
    worker->patience = saved_state_number(paper, "patience", worker->patience, -1, INT64_MAX);
    worker->report_fd = saved_state_fd(paper, "report", worker->report_fd);
    heir->stop_reason = (enum exit_cause_ask)saved_state_number(paper, "asked", heir->stop_reason,
                                                                0, EXIT_CAUSE_ASK_COUNT - 1);
    heir->stop_sent = saved_state_flag(paper, "told", heir->stop_sent);
    heir->grace_ends = saved_state_number(paper, "grace_ends", heir->grace_ends, 0, INT64_MAX);
    upgrade_state_line(paper, &heir->output);
    upgrade_state_line(paper, &heir->error);
}

static struct generation_partial_line upgrade_state_line_of(const struct output_capture *capture)
{
    return (struct generation_partial_line){
        .fd = capture->fd,
        .begun = capture->buffer,
        .size = capture->used,
        .inside = capture->inside,
    };
}

static void upgrade_state_write_member(struct saved_state *paper, struct generation_member *member)
{
    struct generation_member_saved heir = {
        .slot = member->slot,
        .stop_reason = member->stop_reason,
        .stop_sent = member->stop_sent,
        .grace_ends = member->grace_ends,
        .worker = worker_leave(&member->worker),
        .output = upgrade_state_line_of(&member->output.capture),
        .error = upgrade_state_line_of(&member->error.capture),
    };
    upgrade_state_member(paper, &heir);
}

/* A worker that cannot be taken over is one that is gone: its pool starts another. */
static void upgrade_state_read_member(struct saved_state *paper, struct generation *generation)
{
    struct generation_member_saved heir = {
        .worker = {.report_fd = -1}, .output = {.fd = -1}, .error = {.fd = -1}};
    char why[ERROR_SIZE];
    upgrade_state_member(paper, &heir);
    if (generation != NULL && saved_state_good(paper) &&
        generation_adopt_member(generation, &heir, why, sizeof why) != 0) {
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = generation->pool->name},
                  "pool %s: worker %d (slot %u) cannot be taken over: %s", generation->pool->name,
                  (int)heir.worker.pid, heir.slot, why);
        fd_close(&heir.worker.report_fd);
    }
    free(heir.output.begun);
    free(heir.error.begun);
}

/* ---- one generation ---- */

static void upgrade_state_facts(struct saved_state *paper, struct generation_saved *heir)
{
    struct scoreboard *board = &heir->scoreboard;
    heir->number = (unsigned)saved_state_number(paper, "generation", heir->number, 0, UINT32_MAX);
    board->fd = saved_state_fd(paper, "board", board->fd);
    board->read_fd = saved_state_fd(paper, "board_read", board->read_fd);
    board->offset =
        (size_t)saved_state_number(paper, "board_offset", (int64_t)board->offset, 0, INT32_MAX);
    board->stride =
        (size_t)saved_state_number(paper, "board_stride", (int64_t)board->stride, 4096, INT32_MAX);
    board->count = (unsigned)saved_state_number(paper, "board_slots", board->count, 1, INT32_MAX);
    heir->doorbell_fd = saved_state_fd(paper, "doorbell", heir->doorbell_fd);
    heir->handoff[0] = saved_state_fd(paper, "conn_handoff_in", heir->handoff[0]);
    heir->handoff[1] = saved_state_fd(paper, "conn_handoff_out", heir->handoff[1]);
}

static void upgrade_state_write_generation(struct saved_state *paper, struct generation *generation)
{
    struct generation_saved heir = {
        .number = generation->number,
        .scoreboard = generation->scoreboard,
        .doorbell_fd = generation->doorbell_fd,
        .handoff = {generation->handoff[0], generation->handoff[1]},
    };
    uint32_t log = access_log_id(generation->access);
    char *format = log != 0 ? generation->pool->access_format : NULL;
    upgrade_state_facts(paper, &heir);
    (void)saved_state_number(paper, "generation_access", log, 0, UINT32_MAX);
    saved_state_text(paper, "generation_format", &format);
    (void)saved_state_number(paper, "workers", generation->live, 0, INT32_MAX);
    for (unsigned i = 0; i < generation->size; i++)
        if (generation->members[i].worker.state != WORKER_NONE)
            upgrade_state_write_member(paper, &generation->members[i]);
}

/* Whom a pool's generations belong to; with SAVED_STATE_CHECK, nobody. */
struct upgrade_state_owner {
    struct pool_set_item *item;
    struct config *config;
    const struct config_pool *settings;
};

static void upgrade_state_read_generation(struct saved_state *paper,
                                          const struct upgrade_state_owner *owner)
{
    struct generation_saved heir = {
        .scoreboard = {.fd = -1, .read_fd = -1}, .doorbell_fd = -1, .handoff = {-1, -1}};
    struct generation *generation = NULL;
    char *format = NULL, why[ERROR_SIZE];
    upgrade_state_facts(paper, &heir);
    uint32_t log = (uint32_t)saved_state_number(paper, "generation_access", 0, 0, UINT32_MAX);
    saved_state_text(paper, "generation_format", &format);
    int64_t workers = saved_state_number(paper, "workers", 0, 0, INT32_MAX);
    if (owner->item != NULL && saved_state_good(paper)) {
        struct pool *pool = &owner->item->pool;
        heir.starts = pool->current == NULL && !owner->item->leaving;
        heir.listen_fd =
            pool->current != NULL && pool->former.fd >= 0 ? pool->former.fd : pool->listener.fd;
        heir.access = access_log_adopt(paper, log, format);
        generation =
            pool_adopt_generation(pool, owner->config, owner->settings, &heir, why, sizeof why);
        if (generation == NULL)
            saved_state_refuse(paper, "pool %s: %s", pool->name, why);
    }
    free(format);
    for (int64_t i = 0; i < workers && saved_state_good(paper); i++)
        upgrade_state_read_member(paper, generation);
}

/* ---- one pool ---- */

static void upgrade_state_count(struct saved_state *paper, const char *name, uint64_t *value)
{
    *value = (uint64_t)saved_state_number(paper, name, (int64_t)*value, 0, INT64_MAX);
}

/* More of them than the other program knew were never counted. */
static void upgrade_state_counts(struct saved_state *paper, const char *name, uint64_t *values,
                                 size_t count)
{
    count = (size_t)saved_state_number(paper, name, (int64_t)count, 0, (int64_t)count);
    for (size_t i = 0; i < count && saved_state_good(paper); i++)
        upgrade_state_count(paper, "count", &values[i]);
}

static void upgrade_state_gone(struct saved_state *paper, struct ot_counts *gone)
{
#define UPGRADE_STATE_COUNT(member) upgrade_state_count(paper, #member, &gone->member)
    UPGRADE_STATE_COUNT(requests);
    UPGRADE_STATE_COUNT(finished);
    UPGRADE_STATE_COUNT(aborted);
    UPGRADE_STATE_COUNT(timed_out);
    UPGRADE_STATE_COUNT(dropped);
    UPGRADE_STATE_COUNT(discarded);
    UPGRADE_STATE_COUNT(shutdown_run);
    UPGRADE_STATE_COUNT(shutdown_late);
    UPGRADE_STATE_COUNT(shutdown_lost);
#undef UPGRADE_STATE_COUNT
    for (size_t i = 0; i < OT_MEASURE_COUNT; i++) {
        upgrade_state_count(paper, "sum", &gone->measures[i].sum);
        upgrade_state_counts(paper, "buckets", gone->measures[i].buckets, OT_BUCKETS);
    }
}

static void upgrade_state_totals(struct saved_state *paper, struct pool_totals *totals)
{
    upgrade_state_count(paper, "spawned", &totals->spawned);
    upgrade_state_count(paper, "died", &totals->died);
    upgrade_state_count(paper, "start_failures", &totals->start_failures);
    upgrade_state_counts(paper, "ended", totals->ended, EXIT_CAUSE_COUNT);
    upgrade_state_counts(paper, "exits", totals->exits, OT_STATUSES);
    upgrade_state_counts(paper, "signals", totals->signals, OT_SIGNALS_MAX);
    upgrade_state_count(paper, "over_budget", &totals->over_budget);
    upgrade_state_count(paper, "at_max", &totals->at_max);
    upgrade_state_count(paper, "slow", &totals->slow);
    upgrade_state_gone(paper, &totals->ended_counts);
}

static void upgrade_state_unsigned(struct saved_state *paper, const char *name, unsigned *value)
{
    *value = (unsigned)saved_state_number(paper, name, *value, 0, UINT32_MAX);
}

static void upgrade_state_supervisor(struct saved_state *paper, struct pool_set_item *item)
{
    struct pool_supervisor *supervisor = &item->supervisor;
    struct pool_seen *seen = &item->pool.seen;
    supervisor->first_due = saved_state_flag(paper, "first_due", supervisor->first_due);
    supervisor->over.on = saved_state_flag(paper, "over_budget_told", supervisor->over.on);
    supervisor->full.on = saved_state_flag(paper, "at_max_told", supervisor->full.on);
    upgrade_state_unsigned(paper, "most_waiting", &seen->most_waiting);
    upgrade_state_unsigned(paper, "most_active", &seen->most_active);
    upgrade_state_unsigned(paper, "most_post", &seen->most_post);
}

static void upgrade_state_pool(struct saved_state *paper, struct pool *pool)
{
    char *failure = pool->failure;
    upgrade_state_unsigned(paper, "number", &pool->number);
    pool->older_retired = saved_state_flag(paper, "handed_over", pool->older_retired);
    upgrade_state_unsigned(paper, "first", &pool->first);
    upgrade_state_unsigned(paper, "first_started", &pool->started);
    upgrade_state_unsigned(paper, "first_failed", &pool->failed);
    upgrade_state_unsigned(paper, "cut_off", &pool->cut_off);
    saved_state_text(paper, "failure", &failure);
    if (failure != pool->failure) {
        snprintf(pool->failure, sizeof pool->failure, "%s", failure != NULL ? failure : "");
        free(failure);
    }
    pool->stop = (enum pool_stop)saved_state_number(paper, "stop", pool->stop, 0, POOL_STOP_KILL);
    upgrade_state_unsigned(paper, "failures", &pool->backoff.failures);
    pool->backoff.last = saved_state_number(paper, "failed_last", pool->backoff.last, 0, INT64_MAX);
    pool->backoff.until = saved_state_number(paper, "back_at", pool->backoff.until, 0, INT64_MAX);
    pool->served_at_failure = (uint64_t)saved_state_number(
        paper, "served_at_failure", (int64_t)pool->served_at_failure, 0, INT64_MAX);
    pool->opened = saved_state_number(paper, "opened", pool->opened, 0, INT64_MAX);
    pool->opened_time =
        (time_t)saved_state_number(paper, "opened_time", pool->opened_time, 0, INT64_MAX);
    upgrade_state_totals(paper, &pool->totals);
    socket_hand_over(&pool->listener, paper);
    socket_hand_over(&pool->former, paper);
}

static size_t upgrade_state_index(const struct upgrade_state *upgrade_state,
                                  const struct config *config)
{
    size_t index = 0;
    while (index < upgrade_state->count && upgrade_state->confs[index] != config)
        index++;
    return index;
}

static void upgrade_state_write_item(const struct upgrade_state *upgrade_state,
                                     struct saved_state *paper, struct pool_set_item *item)
{
    struct pool *pool = &item->pool;
    int64_t count = 1;
    saved_state_text(paper, "pool", &pool->name);
    (void)saved_state_flag(paper, "leaving", item->leaving);
    (void)saved_state_number(paper, "pool_conf",
                             (int64_t)upgrade_state_index(upgrade_state, pool->current->config), 0,
                             INT32_MAX);
    upgrade_state_pool(paper, pool);
    upgrade_state_supervisor(paper, item);
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        count++;
    (void)saved_state_number(paper, "generations", count, 1, INT32_MAX);
    upgrade_state_write_generation(paper, pool->current);
    for (struct generation *g = pool->older; g != NULL; g = g->older)
        upgrade_state_write_generation(paper, g);
}

static const struct config_pool *upgrade_state_settings(const struct config *config,
                                                        const char *name)
{
    for (size_t i = 0; i < config->pool_count; i++)
        if (strcmp(config->pools[i].name, name) == 0)
            return &config->pools[i];
    return NULL;
}

/* Finds or makes whom the next generations belong to. */
static struct upgrade_state_owner upgrade_state_find(const struct upgrade_state *upgrade_state,
                                                     struct saved_state *paper,
                                                     struct pool_set *pools)
{
    struct upgrade_state_owner owner = {0};
    char *name = NULL;
    saved_state_text(paper, "pool", &name);
    bool leaving = saved_state_flag(paper, "leaving", false);
    size_t index =
        (size_t)saved_state_number(paper, "pool_conf", 0, 0, (int64_t)upgrade_state->count - 1);
    if (saved_state_good(paper) && name != NULL) {
        owner.config = upgrade_state->confs[index];
        owner.settings = upgrade_state_settings(owner.config, name);
    }
    if (owner.settings == NULL)
        saved_state_refuse(paper, "pool %s is in no configuration", name != NULL ? name : "?");
    else if (paper->mode == SAVED_STATE_TAKE && (owner.item = pool_set_adopt(pools, name)) == NULL)
        saved_state_refuse(paper, "out of memory");
    if (owner.item != NULL)
        owner.item->leaving = leaving;
    free(name);
    return owner;
}

static void upgrade_state_read_item(const struct upgrade_state *upgrade_state,
                                    struct saved_state *paper, struct pool_set *pools)
{
    struct pool_set_item scratch = {.pool = {.listener = SOCKET_NONE, .former = SOCKET_NONE}};
    struct upgrade_state_owner owner = upgrade_state_find(upgrade_state, paper, pools);
    struct pool_set_item *item = owner.item != NULL ? owner.item : &scratch;
    upgrade_state_pool(paper, &item->pool);
    upgrade_state_supervisor(paper, item);
    bool first_due = item->supervisor.first_due;
    int64_t generations = saved_state_number(paper, "generations", 0, 1, INT32_MAX);
    for (int64_t i = 0; i < generations && saved_state_good(paper); i++)
        upgrade_state_read_generation(paper, &owner);
    if (item == &scratch) {
        socket_disown(&scratch.pool.listener);
        socket_disown(&scratch.pool.former);
    } else if (item->pool.current == NULL) {
        pool_set_forget_last(pools);
    } else {
        pool_supervisor_resume(&item->supervisor, first_due);
    }
}

/* ---- all ---- */

void upgrade_state_pools(const struct upgrade_state *upgrade_state, struct saved_state *paper,
                         struct pool_set *pools)
{
    int64_t count = paper->mode == SAVED_STATE_WRITE ? (int64_t)pools->count : 0;
    count = saved_state_number(paper, "pools", count, 1, INT32_MAX);
    for (int64_t i = 0; i < count && saved_state_good(paper); i++) {
        if (paper->mode == SAVED_STATE_WRITE)
            upgrade_state_write_item(upgrade_state, paper, pools->items[i]);
        else
            upgrade_state_read_item(upgrade_state, paper, pools);
    }
}

bool upgrade_state_foreign(const struct pool_set *pools)
{
    bool foreign = false;
    for (size_t i = 0; i < pools->count; i++)
        foreign = foreign ||
                  (!pools->items[i]->leaving && pools->items[i]->pool.current->scoreboard.foreign);
    return foreign;
}
