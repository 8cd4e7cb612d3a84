/* succession.c: see succession.h. */
#include "fpm/succession.h"

#include "fpm/fd.h"
#include "fpm/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SUCCESSION_CONFS_MAX = 4096,
    SUCCESSION_SENTENCE = 1024
};

/* ---- configurations ---- */

static int succession_add(struct succession *succession, struct conf *conf)
{
    for (size_t i = 0; i < succession->count; i++)
        if (succession->confs[i] == conf)
            return 0;
    struct conf **grown =
        reallocarray(succession->confs, succession->count + 1, sizeof(struct conf *));
    if (grown == NULL)
        return -1;
    succession->confs = grown;
    succession->confs[succession->count++] = conf_keep(conf);
    return 0;
}

/* A pool's older generations have been asked to go; the settings of the current one will do. */
int succession_gather(struct succession *succession, const struct pools *pools)
{
    *succession = (struct succession){0};
    int result = succession_add(succession, pools->conf);
    for (size_t i = 0; i < pools->count && result == 0; i++)
        result = succession_add(succession, pools->items[i]->pool.current->conf);
    if (result != 0)
        succession_free(succession);
    return result;
}

void succession_free(struct succession *succession)
{
    for (size_t i = 0; i < succession->count; i++)
        conf_free(&succession->confs[i]);
    free(succession->confs);
    *succession = (struct succession){0};
}

static void succession_write_conf(struct handover *paper, struct conf *conf)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool good = out != NULL && conf_dump(conf, out) == 0;
    if (out != NULL)
        good = fclose(out) == 0 && good;
    if (!good)
        handover_refuse(paper, "out of memory");
    handover_text(paper, "conf_file", &conf->file);
    handover_bytes(paper, "conf_text", &text, &size);
    free(text);
}

/* What is wrong, without the place, which is in no file. */
static void succession_tell(struct handover *paper, const struct conf_report *report)
{
    const char *first = report->errors.count > 0 ? report->errors.items[0] : "out of memory";
    const char *what = *first == '/' ? strstr(first, ": ") : NULL;
    handover_refuse(paper,
                    "the configuration that is in force, or was and has workers still, does not "
                    "work with this version: %s",
                    what != NULL ? what + 2 : first);
}

static struct conf *succession_load(struct handover *paper, const char *text, size_t size,
                                    unsigned flags)
{
    char path[64];
    struct conf_report report = {0};
    int fd = memfd_create("overtime-configuration", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || pwrite(fd, text, size, 0) != (ssize_t)size) {
        handover_refuse(paper, "cannot read the configuration: %s", strerror(errno));
        fd_close(&fd);
        return NULL;
    }
    struct conf *conf = conf_load(path, flags, &report);
    if (conf == NULL)
        succession_tell(paper, &report);
    conf_report_free(&report);
    fd_close(&fd);
    return conf;
}

static void succession_read_conf(struct succession *succession, struct handover *paper,
                                 unsigned flags)
{
    char *file = NULL, *text = NULL;
    size_t size = 0;
    struct conf *conf = NULL;
    handover_text(paper, "conf_file", &file);
    handover_bytes(paper, "conf_text", &text, &size);
    if (file != NULL && text != NULL)
        conf = succession_load(paper, text, size, flags);
    if (conf != NULL) {
        free(conf->file);
        conf->file = file;
        file = NULL;
        if (succession_add(succession, conf) != 0)
            handover_refuse(paper, "out of memory");
    } else {
        handover_refuse(paper, "there is no configuration");
    }
    conf_free(&conf);
    free(file);
    free(text);
}

void succession_confs(struct succession *succession, struct handover *paper, unsigned flags)
{
    if (paper->mode != HANDOVER_WRITE)
        *succession = (struct succession){0};
    size_t count = (size_t)handover_number(paper, "confs", (int64_t)succession->count, 1,
                                           SUCCESSION_CONFS_MAX);
    for (size_t i = 0; i < count && handover_good(paper); i++) {
        if (paper->mode == HANDOVER_WRITE)
            succession_write_conf(paper, succession->confs[i]);
        else
            succession_read_conf(succession, paper, flags);
    }
}

/* ---- one worker ---- */

static void succession_line(struct handover *paper, struct generation_line *line)
{
    line->fd = handover_fd(paper, "output", line->fd);
    handover_bytes(paper, "output_begun", &line->begun, &line->size);
    line->inside = handover_flag(paper, "output_inside", line->inside);
}

static void succession_member(struct handover *paper, struct generation_member_heir *heir)
{
    struct worker_heir *worker = &heir->worker;
    heir->slot = (unsigned)handover_number(paper, "slot", heir->slot, 0, UINT32_MAX);
    worker->pid = (pid_t)handover_number(paper, "pid", worker->pid, 1, INT32_MAX);
    worker->state = (enum worker_state)handover_number(paper, "state", worker->state,
                                                       WORKER_STARTING, WORKER_STATE_COUNT - 1);
    worker->started = handover_number(paper, "started", worker->started, 0, INT64_MAX);
    worker->asked = handover_flag(paper, "signalled", worker->asked);
    worker->asked_since = handover_number(paper, "asked_since", worker->asked_since, 0, INT64_MAX);
    worker->patience = handover_number(paper, "patience", worker->patience, -1, INT64_MAX);
    worker->report_fd = handover_fd(paper, "report", worker->report_fd);
    heir->asked =
        (enum ending_ask)handover_number(paper, "asked", heir->asked, 0, ENDING_ASK_COUNT - 1);
    heir->told = handover_flag(paper, "told", heir->told);
    heir->grace_ends = handover_number(paper, "grace_ends", heir->grace_ends, 0, INT64_MAX);
    succession_line(paper, &heir->output);
    succession_line(paper, &heir->error);
}

static struct generation_line succession_line_of(const struct capture *capture)
{
    return (struct generation_line){
        .fd = capture->fd,
        .begun = capture->buffer,
        .size = capture->used,
        .inside = capture->inside,
    };
}

static void succession_write_member(struct handover *paper, struct generation_member *member)
{
    struct generation_member_heir heir = {
        .slot = member->slot,
        .asked = member->asked,
        .told = member->told,
        .grace_ends = member->grace_ends,
        .worker = worker_leave(&member->worker),
        .output = succession_line_of(&member->output.capture),
        .error = succession_line_of(&member->error.capture),
    };
    succession_member(paper, &heir);
}

/* A worker that cannot be taken over is one that is gone: its pool starts another. */
static void succession_read_member(struct handover *paper, struct generation *generation)
{
    struct generation_member_heir heir = {
        .worker = {.report_fd = -1}, .output = {.fd = -1}, .error = {.fd = -1}};
    char why[SUCCESSION_SENTENCE];
    succession_member(paper, &heir);
    if (generation != NULL && handover_good(paper) &&
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

static void succession_facts(struct handover *paper, struct generation_heir *heir)
{
    struct scoreboard *board = &heir->scoreboard;
    heir->number = (unsigned)handover_number(paper, "generation", heir->number, 0, UINT32_MAX);
    board->fd = handover_fd(paper, "board", board->fd);
    board->read_fd = handover_fd(paper, "board_read", board->read_fd);
    board->offset =
        (size_t)handover_number(paper, "board_offset", (int64_t)board->offset, 0, INT32_MAX);
    board->stride =
        (size_t)handover_number(paper, "board_stride", (int64_t)board->stride, 4096, INT32_MAX);
    board->count = (unsigned)handover_number(paper, "board_slots", board->count, 1, INT32_MAX);
    heir->doorbell_fd = handover_fd(paper, "doorbell", heir->doorbell_fd);
    heir->handoff[0] = handover_fd(paper, "handoff_in", heir->handoff[0]);
    heir->handoff[1] = handover_fd(paper, "handoff_out", heir->handoff[1]);
}

static void succession_write_generation(struct handover *paper, struct generation *generation)
{
    struct generation_heir heir = {
        .number = generation->number,
        .scoreboard = generation->scoreboard,
        .doorbell_fd = generation->doorbell_fd,
        .handoff = {generation->handoff[0], generation->handoff[1]},
    };
    uint32_t log = access_id(generation->access);
    char *format = log != 0 ? generation->pool->access_format : NULL;
    succession_facts(paper, &heir);
    (void)handover_number(paper, "generation_access", log, 0, UINT32_MAX);
    handover_text(paper, "generation_format", &format);
    (void)handover_number(paper, "workers", generation->live, 0, INT32_MAX);
    for (unsigned i = 0; i < generation->size; i++)
        if (generation->members[i].worker.state != WORKER_NONE)
            succession_write_member(paper, &generation->members[i]);
}

/* Whom a pool's generations belong to; with HANDOVER_CHECK, nobody. */
struct succession_owner {
    struct pools_item *item;
    struct conf *conf;
    const struct conf_pool *settings;
};

static void succession_read_generation(struct handover *paper, const struct succession_owner *owner)
{
    struct generation_heir heir = {
        .scoreboard = {.fd = -1, .read_fd = -1}, .doorbell_fd = -1, .handoff = {-1, -1}};
    struct generation *generation = NULL;
    char *format = NULL, why[SUCCESSION_SENTENCE];
    succession_facts(paper, &heir);
    uint32_t log = (uint32_t)handover_number(paper, "generation_access", 0, 0, UINT32_MAX);
    handover_text(paper, "generation_format", &format);
    int64_t workers = handover_number(paper, "workers", 0, 0, INT32_MAX);
    if (owner->item != NULL && handover_good(paper)) {
        struct pool *pool = &owner->item->pool;
        heir.starts = pool->current == NULL && !owner->item->leaving;
        heir.listen_fd =
            pool->current != NULL && pool->former.fd >= 0 ? pool->former.fd : pool->listener.fd;
        heir.access = access_adopt(paper, log, format);
        generation =
            pool_adopt_generation(pool, owner->conf, owner->settings, &heir, why, sizeof why);
        if (generation == NULL)
            handover_refuse(paper, "pool %s: %s", pool->name, why);
    }
    free(format);
    for (int64_t i = 0; i < workers && handover_good(paper); i++)
        succession_read_member(paper, generation);
}

/* ---- one pool ---- */

static void succession_count(struct handover *paper, const char *name, uint64_t *value)
{
    *value = (uint64_t)handover_number(paper, name, (int64_t)*value, 0, INT64_MAX);
}

/* More of them than the other program knew were never counted. */
static void succession_counts(struct handover *paper, const char *name, uint64_t *values,
                              size_t count)
{
    count = (size_t)handover_number(paper, name, (int64_t)count, 0, (int64_t)count);
    for (size_t i = 0; i < count && handover_good(paper); i++)
        succession_count(paper, "count", &values[i]);
}

static void succession_gone(struct handover *paper, struct ot_counts *gone)
{
#define SUCCESSION_COUNT(member) succession_count(paper, #member, &gone->member)
    SUCCESSION_COUNT(requests);
    SUCCESSION_COUNT(finished);
    SUCCESSION_COUNT(aborted);
    SUCCESSION_COUNT(timed_out);
    SUCCESSION_COUNT(dropped);
    SUCCESSION_COUNT(discarded);
    SUCCESSION_COUNT(shutdown_run);
    SUCCESSION_COUNT(shutdown_late);
    SUCCESSION_COUNT(shutdown_lost);
#undef SUCCESSION_COUNT
    for (size_t i = 0; i < OT_MEASURE_COUNT; i++) {
        succession_count(paper, "sum", &gone->measures[i].sum);
        succession_counts(paper, "buckets", gone->measures[i].buckets, OT_BUCKETS);
    }
}

static void succession_totals(struct handover *paper, struct pool_totals *totals)
{
    succession_count(paper, "spawned", &totals->spawned);
    succession_count(paper, "died", &totals->died);
    succession_count(paper, "start_failures", &totals->start_failures);
    succession_counts(paper, "ended", totals->ended, ENDING_COUNT);
    succession_counts(paper, "exits", totals->exits, OT_STATUSES);
    succession_counts(paper, "signals", totals->signals, OT_SIGNALS_MAX);
    succession_count(paper, "over_budget", &totals->over_budget);
    succession_count(paper, "at_max", &totals->at_max);
    succession_count(paper, "slow", &totals->slow);
    succession_gone(paper, &totals->gone);
}

static void succession_unsigned(struct handover *paper, const char *name, unsigned *value)
{
    *value = (unsigned)handover_number(paper, name, *value, 0, UINT32_MAX);
}

static void succession_keeper(struct handover *paper, struct keeper *keeper)
{
    keeper->first_due = handover_flag(paper, "first_due", keeper->first_due);
    keeper->over.on = handover_flag(paper, "over_budget_told", keeper->over.on);
    keeper->full.on = handover_flag(paper, "at_max_told", keeper->full.on);
    succession_unsigned(paper, "most_waiting", &keeper->seen.most_waiting);
    succession_unsigned(paper, "most_active", &keeper->seen.most_active);
    succession_unsigned(paper, "most_post", &keeper->seen.most_post);
}

static void succession_pool(struct handover *paper, struct pool *pool)
{
    char *failure = pool->failure;
    succession_unsigned(paper, "number", &pool->number);
    pool->handed_over = handover_flag(paper, "handed_over", pool->handed_over);
    succession_unsigned(paper, "first", &pool->first);
    succession_unsigned(paper, "first_started", &pool->started);
    succession_unsigned(paper, "first_failed", &pool->failed);
    succession_unsigned(paper, "cut_off", &pool->cut_off);
    handover_text(paper, "failure", &failure);
    if (failure != pool->failure) {
        snprintf(pool->failure, sizeof pool->failure, "%s", failure != NULL ? failure : "");
        free(failure);
    }
    pool->stop = (enum pool_stop)handover_number(paper, "stop", pool->stop, 0, POOL_STOP_KILL);
    succession_unsigned(paper, "failures", &pool->backoff.failures);
    pool->backoff.last = handover_number(paper, "failed_last", pool->backoff.last, 0, INT64_MAX);
    pool->backoff.until = handover_number(paper, "back_at", pool->backoff.until, 0, INT64_MAX);
    pool->served_at_failure = (uint64_t)handover_number(
        paper, "served_at_failure", (int64_t)pool->served_at_failure, 0, INT64_MAX);
    pool->opened = handover_number(paper, "opened", pool->opened, 0, INT64_MAX);
    pool->opened_time =
        (time_t)handover_number(paper, "opened_time", pool->opened_time, 0, INT64_MAX);
    succession_totals(paper, &pool->totals);
    socket_hand_over(&pool->listener, paper);
    socket_hand_over(&pool->former, paper);
}

static size_t succession_index(const struct succession *succession, const struct conf *conf)
{
    size_t index = 0;
    while (index < succession->count && succession->confs[index] != conf)
        index++;
    return index;
}

static void succession_write_item(const struct succession *succession, struct handover *paper,
                                  struct pools_item *item)
{
    struct pool *pool = &item->pool;
    int64_t count = 1;
    handover_text(paper, "pool", &pool->name);
    (void)handover_flag(paper, "leaving", item->leaving);
    (void)handover_number(paper, "pool_conf",
                          (int64_t)succession_index(succession, pool->current->conf), 0, INT32_MAX);
    succession_pool(paper, pool);
    succession_keeper(paper, &item->keeper);
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        count++;
    (void)handover_number(paper, "generations", count, 1, INT32_MAX);
    succession_write_generation(paper, pool->current);
    for (struct generation *g = pool->older; g != NULL; g = g->older)
        succession_write_generation(paper, g);
}

static const struct conf_pool *succession_settings(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->pool_count; i++)
        if (strcmp(conf->pools[i].name, name) == 0)
            return &conf->pools[i];
    return NULL;
}

/* Finds or makes whom the next generations belong to. */
static struct succession_owner succession_find(const struct succession *succession,
                                               struct handover *paper, struct pools *pools)
{
    struct succession_owner owner = {0};
    char *name = NULL;
    handover_text(paper, "pool", &name);
    bool leaving = handover_flag(paper, "leaving", false);
    size_t index =
        (size_t)handover_number(paper, "pool_conf", 0, 0, (int64_t)succession->count - 1);
    if (handover_good(paper) && name != NULL) {
        owner.conf = succession->confs[index];
        owner.settings = succession_settings(owner.conf, name);
    }
    if (owner.settings == NULL)
        handover_refuse(paper, "pool %s is in no configuration", name != NULL ? name : "?");
    else if (paper->mode == HANDOVER_TAKE && (owner.item = pools_adopt(pools, name)) == NULL)
        handover_refuse(paper, "out of memory");
    if (owner.item != NULL)
        owner.item->leaving = leaving;
    free(name);
    return owner;
}

static void succession_read_item(const struct succession *succession, struct handover *paper,
                                 struct pools *pools)
{
    struct pools_item scratch = {.pool = {.listener = SOCKET_NONE, .former = SOCKET_NONE}};
    struct succession_owner owner = succession_find(succession, paper, pools);
    struct pools_item *item = owner.item != NULL ? owner.item : &scratch;
    succession_pool(paper, &item->pool);
    succession_keeper(paper, &item->keeper);
    bool first_due = item->keeper.first_due;
    int64_t generations = handover_number(paper, "generations", 0, 1, INT32_MAX);
    for (int64_t i = 0; i < generations && handover_good(paper); i++)
        succession_read_generation(paper, &owner);
    if (item == &scratch) {
        socket_disown(&scratch.pool.listener);
        socket_disown(&scratch.pool.former);
    } else if (item->pool.current == NULL) {
        pools_forget_last(pools);
    } else {
        keeper_resume(&item->keeper, first_due);
    }
}

/* ---- all ---- */

void succession_pools(const struct succession *succession, struct handover *paper,
                      struct pools *pools)
{
    int64_t count = paper->mode == HANDOVER_WRITE ? (int64_t)pools->count : 0;
    count = handover_number(paper, "pools", count, 1, INT32_MAX);
    for (int64_t i = 0; i < count && handover_good(paper); i++) {
        if (paper->mode == HANDOVER_WRITE)
            succession_write_item(succession, paper, pools->items[i]);
        else
            succession_read_item(succession, paper, pools);
    }
}

bool succession_foreign(const struct pools *pools)
{
    bool foreign = false;
    for (size_t i = 0; i < pools->count; i++)
        foreign = foreign ||
                  (!pools->items[i]->leaving && pools->items[i]->pool.current->scoreboard.foreign);
    return foreign;
}
