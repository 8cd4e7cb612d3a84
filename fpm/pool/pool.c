/* pool.c: see pool.h. */
#include "fpm/pool/pool.h"

#include "fpm/pool/orphan_workers.h"
#include "fpm/pool/socket_activation.h"
#include "fpm/util/account.h"
#include "fpm/util/error.h"
#include "fpm/util/invariant.h"
#include "fpm/worker/exit_message.h"
#include "fpm/worker/proc_activity.h"
#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/scalar.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/wait.h>
#include <sysexits.h>

const struct config_pool *pool_settings(const struct pool *pool)
{
    return pool->current->pool;
}

/* ms that a worker has between the request to stop and KILL. */
static int64_t pool_grace(const struct pool *pool)
{
    return pool->current->config->global.process_control_timeout;
}

/* ---- deaths and the back-off ---- */

/* Requests that all workers have begun so far. */
static uint64_t pool_served(const struct pool *pool)
{
    const struct generation *generation = pool->current;
    uint64_t served = pool->stats.elsewhere.requests;
    for (unsigned i = 0; i < generation->size; i++)
        if (generation->members[i].worker.state != WORKER_NONE)
            served += scoreboard_requests(&generation->scoreboard, i);
    return served;
}

/* Counts a death or a failed start in the back-off. The cause of a failure is kept, and each new
 * step of the delay is logged. */
static void pool_note_death(struct pool *pool, struct backoff_death *death, const char *cause)
{
    bool new_step = false;
    death->now = clock_ms();
    if (backoff_judge(death) == BACKOFF_FAILED) {
        uint64_t served = pool_served(pool);
        death->pool_served = served > pool->served_at_failure;
        pool->served_at_failure = served;
        snprintf(pool->failure, sizeof pool->failure, "%s", cause);
    } else if (death->accepting || death->served > 0 ||
               death->now - death->started >= POOL_PROOF_MS)
        pool->proven = true;
    int64_t wait = backoff_note(&pool->backoff, death, &new_step);
    if (backoff_rate_wait(&pool->backoff, death->now) == 0)
        (void)log_episode_end(&pool->early);
    else if (pool->stop == POOL_STOP_NONE && log_episode_begin(&pool->early))
        log_about(LOG_LEVEL_WARNING, &(struct log_about){.pool = pool->name},
                  "pool %s: workers end within a second of their start, whatever they say of "
                  "requests: at most %d a second are replaced; see `pm.max_requests`",
                  pool->name, BACKOFF_RATE);

    /* A lack of processes or descriptors concerns the machine, and is told once for as long as it
     * lasts. */
    if (death->no_process) {
        pool->short_starts++;
        if (!log_episode_begin(&pool->short_of))
            return;
        pool->short_starts = 1;
        pool->short_since = death->now;
    }
    if (!new_step || pool->stop != POOL_STOP_NONE)
        return;
    char delay[32];
    scalar_duration(wait, delay, sizeof delay);
    log_pool(death->exec_failed ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, pool->name,
             "%s; next start in %s", cause, delay);
}

static void pool_on_start_failed(struct generation *generation, const char *why, int64_t started,
                                 bool no_process)
{
    struct pool *pool = generation->owner;
    char cause[ERROR_SIZE];
    struct backoff_death death = {
        .exec_failed = true, .no_process = no_process, .started = started, .exit_status = -1};
    pool->stats.start_failures++;
    pool->stats.ended[EXIT_CAUSE_START]++;
    if (generation == pool->current) {
        snprintf(cause, sizeof cause, "cannot start worker: %s", why);
        pool_note_death(pool, &death, cause);
        /* The next worker would fail for the same reason: the outcome of the start is known once
         * the workers that are still starting have reported, not after one delay for each missing
         * worker. */
        unsigned others = pool->started + generation->counts[WORKER_STARTING];
        unsigned missing = pool->first > others ? pool->first - others : 0;
        pool->failed += pool->failed < pool->first;
        pool->failed = MAX(pool->failed, missing);
    }
    pool->events->changed(pool);
}

/* ---- the end of a worker ---- */

static void pool_log_end(const struct generation_member *member, const struct slot_view *view,
                         const struct exit_cause_input *input)
{
    const struct worker *worker = &member->worker;
    const struct log_about about = generation_about(member);
    const struct exit_message exit_message = {
        .pool = about.pool,
        .pid = worker->pid,
        .slot = member->slot,
        .status = worker->status,
        .uptime = clock_ms() - worker->started,
        .stop_requested = worker->stop_requested,
        .expected = exit_cause_is_expected(exit_cause_of(input)),
        .reason = exit_cause_text(input),
        .last_error = member->last_error,
        .view = view,
    };
    char line[EXIT_MESSAGE_MAX];
    enum log_level level = exit_message_compose(&exit_message, clock_ns(), line, sizeof line);
    log_about(level, &about, "%s", line);
}

/* The kernel wakes one worker for a connection. If that worker dies before it accepts, the
 * connection would wait for the next one to arrive. SIGURG makes an idle library look again, and is
 * ignored by default. One worker of each generation is woken: an older generation may be the only
 * one that serves, or that has the socket. */
static void pool_wake_idle(const struct pool *pool)
{
    const struct generation *generation = pool->current;
    if (!socket_pending(pool->listener.fd) && !socket_pending(pool->former.fd) &&
        !socket_pending(generation->channels->handoff[0]))
        return;
    while (generation != NULL) {
        unsigned i = 0;
        while (i < generation->size &&
               (generation->members[i].worker.state != WORKER_RUNNING ||
                scoreboard_glance(&generation->scoreboard, i).phase != SCOREBOARD_IDLE))
            i++;
        if (i < generation->size)
            worker_signal(&generation->members[i].worker, SIGURG,
                          generation_member_program(&generation->members[i]));
        generation = generation->older;
    }
}

static void pool_count_end(struct pool *pool, const struct generation_member *member,
                           const struct slot_view *view, enum exit_cause cause)
{
    struct ot_pool_stats *stats = &pool->stats;
    int status = member->worker.status;
    bool exited = status != -1 && WIFEXITED(status);
    int signal = status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    bool served = cause == EXIT_CAUSE_REQUESTS || cause == EXIT_CAUSE_MEMORY;
    bool waited_for = member->stop_reason == EXIT_CAUSE_STOP_RELOAD ||
                      member->stop_reason == EXIT_CAUSE_STOP_MANAGER;
    INVARIANT(cause < EXIT_CAUSE_COUNT);
    stats->ended[cause]++;
    if (exited)
        stats->exits[WEXITSTATUS(status)]++;
    else if (signal > 0 && signal < OT_SIGNALS_MAX)
        stats->signals[signal]++;
    stats->died += !member->worker.stop_requested && !served;
    pool->cut_off += waited_for && signal == SIGKILL;

    /* Post-response work that was under way ended with the worker. */
    const struct ot_record *lead = &view->lead;
    uint64_t now = clock_ns();
    bool in_post = lead->state == OT_STATE_POST || lead->state == OT_STATE_SHUTDOWN;
    histogram_add_counts(&stats->elsewhere, &view->counts);
    if (in_post && lead->ended_at == 0 && lead->finished_at != 0 && lead->finished_at < now)
        histogram_add(&stats->elsewhere.measures[OT_MEASURE_POST], now - lead->finished_at);
}

static void pool_on_ended(struct generation *generation, const struct generation_member *member,
                          const struct slot_view *view)
{
    struct pool *pool = generation->owner;
    const struct worker *worker = &member->worker;
    int status = worker->status;
    char cause[ERROR_SIZE], uptime[32], end[EXIT_MESSAGE_STATUS_MAX];
    const struct exit_cause_input input = {
        .stop_reason = member->stop_reason,
        .exit_reason = scoreboard_exit_reason(&generation->scoreboard, member->slot),
        .status = status,
    };
    struct backoff_death death = {
        .started = worker->started,
        .stopped = worker->stop_requested,
        .attached = view->attached,
        .accepting = view->attached
                         ? view->lead.state != OT_STATE_STARTING
                         : member->accepted || (member->queue_at_start &&
                                                !socket_pending(generation->spec.launch.listen_fd)),
        .served = view->counts.requests,
        .exit_status = status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0,
    };
    if (view->other_version != 0 && log_episode_begin(&pool->foreign_library))
        log_pool(LOG_LEVEL_WARNING, pool->name,
                 "workers run a library of contract version %u, this manager speaks %u: they are "
                 "treated as programs without the library",
                 view->other_version, OT_CONTRACT_VERSION);
    pool_log_end(member, view, &input);
    if (death.signal == SIGSEGV || death.signal == SIGBUS)
        pool->events->crashed(pool);
    if (generation == pool->current) {
        scalar_duration(clock_ms() - worker->started, uptime, sizeof uptime);
        exit_message_status(status, end, sizeof end);
        snprintf(cause, sizeof cause,
                 "workers end soon after their start, before they have served a request: the last "
                 "one %s after %s",
                 end, uptime);
        pool_note_death(pool, &death, cause);
    }
    pool_count_end(pool, member, view, exit_cause_of(&input));
    if (!worker->stop_requested)
        pool_wake_idle(pool);
    pool->events->changed(pool);
}

/* It is replaced before the last of it has gone. */
static void pool_on_outlived(struct generation *generation, const struct generation_member *member)
{
    struct pool *pool = generation->owner;
    if (!member->worker.stop_requested)
        pool_wake_idle(pool);
    pool->events->changed(pool);
}

static void pool_on_started(struct generation *generation, const struct generation_member *member)
{
    struct pool *pool = generation->owner;
    char lasted[32];
    if (generation != pool->current)
        return;
    if (log_episode_end(&pool->short_of)) {
        scalar_duration(clock_ms() - pool->short_since, lasted, sizeof lasted);
        log_pool(LOG_LEVEL_NOTICE, pool->name,
                 "workers can be started again, after %u failed start%s in %s", pool->short_starts,
                 pool->short_starts == 1 ? "" : "s", lasted);
    }
    pool->started += pool->started < pool->first;
    pool->events->changed(pool);
}

static const struct generation_events pool_generation_events = {
    .started = pool_on_started,
    .start_failed = pool_on_start_failed,
    .outlived = pool_on_outlived,
    .ended = pool_on_ended,
};

/* ---- clients that may not connect ---- */

enum {
    POOL_FILTER_CALM = 60000 /* ms without a dropped packet that end an episode */
};

static bool pool_lists_clients(const struct config_pool *settings)
{
    return settings->listen.kind != VALUE_PARSE_ADDRESS_UNIX &&
           settings->listen_allowed_clients.count > 0;
}

static bool pool_same_clients(const struct config_pool *one, const struct config_pool *other)
{
    const struct value_parse_list *a = &one->listen_allowed_clients;
    const struct value_parse_list *b = &other->listen_allowed_clients;
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

/* Do workers live, and do all look at their clients themselves, by the present list? */
static bool pool_workers_refuse(const struct pool *pool)
{
    if (pool_live(pool) == 0)
        return false;
    for (const struct generation *g = pool->current; g != NULL; g = g->older) {
        if (g->live > 0 && !pool_same_clients(g->pool, pool_settings(pool)))
            return false;
        for (unsigned i = 0; i < g->size; i++) {
            enum scoreboard_phase phase = SCOREBOARD_IDLE;
            if (g->members[i].worker.state != WORKER_NONE)
                phase = scoreboard_glance(&g->scoreboard, i).phase;
            if (phase == SCOREBOARD_UNATTACHED || phase == SCOREBOARD_STARTING)
                return false;
        }
    }
    return true;
}

/* Adds the packets that were dropped since the last look. Those of a queue that is full are counted
 * by the kernel in the same number. */
static void pool_count_dropped(struct pool *pool)
{
    uint32_t total = socket_dropped(pool->listener.fd), more = total - pool->filter_drops;
    int64_t now = clock_ms();
    bool full = pool->seen.backlog > 0 && pool->seen.counts.waiting >= pool->seen.backlog;
    pool->filter_drops = total;
    if (more == 0 || full) {
        if (now - pool->filter_drop_seen >= POOL_FILTER_CALM)
            (void)log_episode_end(&pool->filter_told);
        return;
    }
    pool->stats.refused_packets += more;
    pool->filter_drop_seen = now;
    if (log_episode_begin(&pool->filter_told))
        log_pool(LOG_LEVEL_WARNING, pool->name,
                 "%" PRIu32 " packet%s of clients that `listen.allowed_clients` does not list %s "
                 "dropped; further ones are counted as refused_packets in the status",
                 more, more == 1 ? "" : "s", more == 1 ? "was" : "were");
}

static void pool_set_filter(struct pool *pool, bool on)
{
    char why[ERROR_SIZE];
    if (pool->filtered)
        pool_count_dropped(pool);
    if (pool->filtered == on)
        return;
    if (socket_allow(pool->listener.fd, on ? &pool_settings(pool)->listen_allowed_clients : NULL,
                     why, sizeof why) != 0) {
        log_pool(LOG_LEVEL_ERROR, pool->name, "`listen.allowed_clients`: %s", why);
        return;
    }
    pool->filtered = on;
    pool->filter_drops = socket_dropped(pool->listener.fd);
}

/* A pool that stops, or that has given its socket to another pool, leaves it as it is. */
static bool pool_may_filter(const struct pool *pool)
{
    return pool->stop == POOL_STOP_NONE && !pool->listener_shared &&
           pool_lists_clients(pool_settings(pool));
}

void pool_filter_clients(struct pool *pool)
{
    if (pool_may_filter(pool))
        pool_set_filter(pool, pool->filter_stays || !pool_workers_refuse(pool));
}

/* The socket has the filter of these settings, with which it was opened or changed. */
static void pool_note_filter(struct pool *pool, const struct config_pool *settings)
{
    pool->filtered = pool_lists_clients(settings);
    pool->filter_drops = pool->filtered ? socket_dropped(pool->listener.fd) : 0;
}

/* ---- starting ---- */

unsigned pool_spawn(struct pool *pool, unsigned count, const char *reason)
{
    if (pool->stop != POOL_STOP_NONE || count == 0)
        return 0;
    log_debug("pool %s: %u worker%s started: %s", pool->name, count, count == 1 ? " is" : "s are",
              reason);
    if (pool_may_filter(pool))
        pool_set_filter(pool, true);
    /* A start counts even if the program could not be run. */
    uint64_t before = pool->stats.spawned;
    bool started = true;
    while (started && count-- > 0 && backoff_wait(&pool->backoff, clock_ms()) == 0) {
        uint64_t failed = pool->stats.start_failures;
        started = generation_spawn(pool->current);
        pool->stats.spawned += started || failed != pool->stats.start_failures;
    }
    INVARIANT(pool->current->live <= pool->current->size);
    return (unsigned)(pool->stats.spawned - before);
}

bool pool_ready(const struct pool *pool)
{
    return pool->started >= pool->first;
}

void pool_limit_first(struct pool *pool, unsigned count)
{
    if (count >= pool->first)
        return;
    pool->first = count;
    pool->events->changed(pool);
}

bool pool_failing(const struct pool *pool, unsigned accepting)
{
    if (pool->stop != POOL_STOP_NONE || *pool->failure == '\0')
        return false;
    return pool->renewal.failed.on ||
           (accepting == 0 && pool->backoff.failures > 0 &&
            (pool->first > 0 || backoff_wait(&pool->backoff, clock_ms()) > 0));
}

bool pool_settled(const struct pool *pool)
{
    return pool->started + pool->failed >= pool->first;
}

/* The number of workers that a generation starts with, whatever the load. */
static unsigned pool_first(const struct config_pool *settings)
{
    switch (settings->pm) {
    case DIRECTIVE_PM_DYNAMIC:
        return (unsigned)settings->pm_start_servers;
    case DIRECTIVE_PM_ONDEMAND:
        return 0;
    default:
        return (unsigned)settings->pm_max_children;
    }
}

/* ---- retiring and stopping ---- */

struct pool_idle {
    uint64_t since;
    struct generation_member *member;
};

static int pool_idle_order(const void *a, const void *b)
{
    uint64_t first = ((const struct pool_idle *)a)->since;
    uint64_t second = ((const struct pool_idle *)b)->since;
    return (first > second) - (first < second);
}

/* The longest idle workers are retired first; one without the library that may be idle is ordered
 * by the time of its start. Workers that cannot be retired now are still there at the next pass. */
void pool_retire(struct pool *pool, unsigned count, const char *reason)
{
    struct generation *generation = pool->current;
    struct pool_idle *idle = count > 0 ? calloc(generation->size, sizeof *idle) : NULL;
    unsigned found = 0;
    if (idle == NULL)
        return;
    for (unsigned i = 0; i < generation->size; i++) {
        struct generation_member *member = &generation->members[i];
        if (!generation_member_in_service(member) || member->worker.state != WORKER_RUNNING)
            continue;
        struct scoreboard_glance glance = scoreboard_glance(&generation->scoreboard, i);
        if (glance.phase == SCOREBOARD_IDLE && glance.busy == 0)
            idle[found++] = (struct pool_idle){glance.idle_since, member};
        else if (glance.phase == SCOREBOARD_UNATTACHED &&
                 proc_activity_doing(member->worker.pid) != PROC_ACTIVITY_BUSY)
            idle[found++] =
                (struct pool_idle){(uint64_t)member->worker.started * CLOCK_NS_PER_MS, member};
    }
    INVARIANT(found <= generation->size);
    qsort(idle, found, sizeof *idle, pool_idle_order);
    count = MIN(count, found);
    log_debug("pool %s: %u worker%s retired: %s", pool->name, count, count == 1 ? " is" : "s are",
              reason);
    for (unsigned i = 0; i < count; i++)
        generation_stop(idle[i].member, EXIT_CAUSE_STOP_SUPERFLUOUS, pool_grace(pool));
    free(idle);
}

void pool_allow_handoff(struct pool *pool, bool current, bool older)
{
    scoreboard_siblings_take_over(&pool->current->scoreboard, current);
    for (struct generation *g = pool->current->older; g != NULL; g = g->older)
        scoreboard_siblings_take_over(&g->scoreboard, older);
}

static void pool_stop_generation(struct pool *pool, struct generation *generation,
                                 enum exit_cause_stop why, enum pool_stop how)
{
    for (unsigned i = 0; i < generation->size; i++) {
        struct generation_member *member = &generation->members[i];
        if (how == POOL_STOP_GRACEFUL)
            generation_stop(member, why, pool_grace(pool));
        else if (how == POOL_STOP_NOW)
            generation_terminate(member, why, pool_grace(pool));
        else
            generation_kill(member, why);
    }
}

/* Is the queue lost when the workers of this pool have ended? */
static bool pool_owns_socket(const struct pool *pool)
{
    return !pool->listener.given && !pool->listener_shared;
}

/* Must workers that stop serve the queue first? Applies to the workers of all generations. */
static void pool_set_last_drain(struct pool *pool, bool last)
{
    for (struct generation *g = pool->current; g != NULL; g = g->older)
        scoreboard_last_drain(&g->scoreboard, last);
}

/* A connection may have arrived before any worker was started. */
static void pool_serve_queue(struct pool *pool)
{
    if (pool_owns_socket(pool) && pool_live(pool) == 0 && socket_pending(pool->listener.fd))
        pool_spawn(pool, 1, "the socket is given up and its queue is not empty");
}

void pool_stop(struct pool *pool, enum pool_stop how)
{
    if (how <= pool->stop)
        return;
    if (how == POOL_STOP_GRACEFUL)
        pool_serve_queue(pool);
    INVARIANT(how > pool->stop && how <= POOL_STOP_KILL);
    pool->stop = how;
    pool_allow_handoff(pool, false, false);
    if (how != POOL_STOP_GRACEFUL || pool_owns_socket(pool))
        pool_set_last_drain(pool, how == POOL_STOP_GRACEFUL);
    if (pool_owns_socket(pool))
        socket_refuse(&pool->listener);
    socket_refuse(&pool->former);
    for (struct generation *g = pool->current; g != NULL; g = g->older)
        pool_stop_generation(pool, g, EXIT_CAUSE_STOP_MANAGER, how);
}

unsigned pool_live(const struct pool *pool)
{
    unsigned live = 0;
    for (const struct generation *g = pool->current; g != NULL; g = g->older)
        live += g->live;
    return live;
}

unsigned pool_in_service(const struct pool *pool)
{
    INVARIANT(pool->current->retiring <= pool->current->live);
    return pool->current->live - pool->current->retiring;
}

/* ---- the socket ---- */

int pool_socket_spec(const struct config_pool *settings, struct socket_spec *spec, char *error,
                     size_t size)
{
    const struct config_identity *identity = &settings->identity;
    struct account owner = {.uid = identity->change ? identity->uid : (uid_t)-1};
    gid_t group = identity->change ? identity->gid : (gid_t)-1;
    if ((settings->listen_owner != NULL &&
         account_user(settings->listen_owner, &owner, error, size) != 0) ||
        (settings->listen_group != NULL &&
         account_group(settings->listen_group, &group, error, size) != 0))
        return -1;
    *spec = (struct socket_spec){
        .path = settings->listen.kind == VALUE_PARSE_ADDRESS_UNIX ? settings->listen.path : NULL,
        .host = settings->listen.host,
        .port = settings->listen.port,
        .freebind = settings->listen_freebind,
        .backlog = (int)settings->listen_backlog,
        .mode = settings->listen_mode,
        .uid = owner.uid,
        .gid = group,
        .clients = &settings->listen_allowed_clients,
    };
    return 0;
}

static const struct pool_fault pool_no_fault = {0, -1};

/* What fails without being any directive's fault. */
static const struct pool_fault pool_internal_fault = {EX_SOFTWARE, -1};

static struct pool_fault pool_listen(const struct pool_request *request,
                                     struct socket_listener *listener, char *error, size_t size)
{
    const struct config_pool *settings = request->settings;
    struct socket_spec spec;
    char why[ERROR_SIZE];
    if (request->inherit != NULL)
        return socket_share(request->inherit, listener, error, size) == 0 ? pool_no_fault
                                                                          : pool_internal_fault;
    if (pool_socket_spec(settings, &spec, error, size) != 0)
        return pool_internal_fault;
    int taken = socket_activation_take(settings->name, &spec, listener, why, sizeof why);
    if (taken > 0 && *why != '\0')
        log_pool(LOG_LEVEL_WARNING, settings->name, "`listen = %s`: %s", settings->listen.text,
                 why);
    if (taken > 0 && socket_allow(listener->fd, spec.clients, why, sizeof why) != 0) {
        snprintf(error, size, "`listen.allowed_clients`: %s", why);
        return pool_internal_fault;
    }
    if (taken > 0 || (taken == 0 && socket_listen(listener, &spec, why, sizeof why) == 0) ||
        (taken == 0 && errno == EADDRINUSE &&
         orphan_workers_take(&spec, listener, why, sizeof why) == 0))
        return pool_no_fault;
    if (taken == 0 && errno == EMFILE) {
        snprintf(error, size, "%s", why);
        return pool_internal_fault;
    }
    bool passes = taken == 0 && socket_may_pass(errno);
    snprintf(error, size, "`listen = %s`: %s", settings->listen.text, why);
    return (struct pool_fault){passes ? EX_SOFTWARE : EX_CONFIG, DIRECTIVE_POOL_listen};
}

/* The process that passed a socket to the manager still holds its address, so that no other socket
 * can be opened there: it is kept for a later reload. */
static void pool_keep_socket(const struct socket_listener *listener, const char *name)
{
    if (listener->given && socket_activation_keep(name, listener->fd) != 0)
        log_error("cannot keep a socket that was passed to the manager: %s", strerror(errno));
}

void pool_return_socket(struct pool *pool)
{
    if (!pool->listener.given || pool->listener_shared)
        return;
    pool_keep_socket(&pool->listener, pool->name);
    pool->listener_shared = true;
}

/* ---- opening and closing ---- */

static bool pool_serves(void *context)
{
    struct pool *pool = context;
    return pool->stop == POOL_STOP_NONE && (pool->first == 0 || pool_is_proven(pool, clock_ms()));
}

/* Workers of an earlier manager go when this one's serve. */
static void pool_replace_orphans(struct pool *pool, const struct config_pool *settings)
{
    struct socket_spec spec;
    char why[ERROR_SIZE];
    if (pool_socket_spec(settings, &spec, why, sizeof why) == 0 &&
        orphan_workers_replace(pool->name, &spec, &pool->listener, pool_grace(pool), pool_serves,
                               pool))
        pool->filter_stays = true; /* they may serve without the library */
}

void pool_discard(struct pool_prepared *prepared)
{
    generation_close(&prepared->generation);
    if (!prepared->shared)
        pool_keep_socket(&prepared->listener, prepared->socket_name);
    socket_close(&prepared->listener);
    slow_log_close(&prepared->slowlog);
}

struct pool_fault pool_prepare(struct pool *pool, const struct pool_request *request,
                               struct pool_prepared *prepared, char *error, size_t size)
{
    const struct config_pool *settings = request->settings;
    struct pool_fault fault = pool_no_fault;
    *prepared = (struct pool_prepared){
        .listener = SOCKET_NONE,
        .shared = request->inherit != NULL,
        .socket_name = pool->current == NULL ? pool->name : "",
    };
    if (request->listen)
        fault = pool_listen(request, &prepared->listener, error, size);

    /* A log that cannot be written is the fault of its directive, unless descriptors or memory are
     * short. */
    errno = 0;
    if (fault.status == 0 && access_log_check(settings, error, size) != 0)
        fault.directive = DIRECTIVE_POOL_access_log;
    else if (fault.status == 0 && slow_log_open(&prepared->slowlog, settings, error, size) != 0)
        fault.directive = DIRECTIVE_POOL_slowlog;
    if (fault.status == 0 && fault.directive >= 0)
        fault.status =
            errno == EMFILE || errno == ENFILE || errno == ENOMEM ? EX_SOFTWARE : EX_CONFIG;

    if (fault.status == 0 && request->replace) {
        int fd = request->listen ? prepared->listener.fd : pool->listener.fd;
        prepared->generation = generation_open(pool->loop, request->config, settings, pool->current,
                                               fd, &pool_generation_events, pool, error, size);
        fault = prepared->generation != NULL ? pool_no_fault : pool_internal_fault;
    }
    if (fault.status != 0)
        pool_discard(prepared);
    return fault;
}

struct pool_fault pool_open(struct pool *pool, struct ev_loop *loop,
                            const struct pool_request *request, const struct pool_events *events,
                            void *owner, char *error, size_t size)
{
    struct pool_prepared prepared;
    struct pool_request all = *request;
    all.listen = all.replace = true;
    *pool = (struct pool){
        .name = strdup(request->settings->name),
        .loop = loop,
        .events = events,
        .owner = owner,
        .listener = SOCKET_NONE,
        .former = SOCKET_NONE,
        .number = 1,
        .older_retired = true,
        .first = pool_first(request->settings),
        .opened = clock_ms(),
        .opened_time = time(NULL),
    };
    if (pool->name == NULL) {
        snprintf(error, size, "out of memory");
        return pool_internal_fault;
    }
    struct pool_fault fault = pool_prepare(pool, &all, &prepared, error, size);
    pool->listener = prepared.listener;
    pool->current = prepared.generation;
    pool->slowlog = prepared.slowlog;
    if (fault.status != 0) {
        pool_close(pool);
        return fault;
    }
    pool->filter_stays = request->inherit != NULL;
    pool_note_filter(pool, request->settings);
    pool_replace_orphans(pool, request->settings);
    return fault;
}

int pool_adopt(struct pool *pool, struct ev_loop *loop, struct config *config,
               const struct config_pool *settings, const struct generation *before, bool starts,
               const struct pool_events *events, void *owner, char *error, size_t size)
{
    struct generation **link = &pool->current;
    const struct generation *other = NULL;
    char why[ERROR_SIZE];
    pool->loop = loop;
    pool->events = events;
    pool->owner = owner;
    if (slow_log_open(&pool->slowlog, settings, why, sizeof why) != 0)
        log_pool(LOG_LEVEL_ERROR, pool->name, "%s", why);
    for (; before != NULL; before = before->older) {
        bool is_current = link == &pool->current;
        int fd = !is_current && pool->former.fd >= 0 ? pool->former.fd : pool->listener.fd;
        *link = generation_adopt(loop, config, settings, before, other, fd, starts && is_current,
                                 &pool_generation_events, pool, error, size);
        if (*link == NULL)
            return -1;
        other = *link;
        link = &(*link)->older;
    }
    if (pool_may_filter(pool))
        pool_set_filter(pool, true);
    return 0;
}

void pool_sweep(struct pool *pool)
{
    struct generation **link = &pool->current->older;
    while (*link != NULL) {
        struct generation *generation = *link;
        if (generation->live > 0) {
            link = &generation->older;
            continue;
        }
        *link = generation->older;
        INVARIANT(generation->retiring == 0 && generation != pool->current);
        log_debug("pool %s: generation %u has no workers left", pool->name, generation->number);
        slow_log_forget(&generation->scoreboard);
        generation_close(&generation);
    }
    if (pool->current->older == NULL)
        socket_close(&pool->former);
}

void pool_close(struct pool *pool)
{
    orphan_workers_forget(pool);
    if (pool->current != NULL) {
        pool_sweep(pool);
        slow_log_forget(&pool->current->scoreboard);
    }
    generation_close(&pool->current);
    slow_log_close(&pool->slowlog);
    pool_return_socket(pool);
    socket_close(&pool->former);
    socket_close(&pool->listener);
    free(pool->name);
    pool->name = NULL;
}

/* ---- reload ---- */

/* Puts the new generation in the place of the present one. It starts with at least as many workers
 * as accept requests now: under load, requests would wait while workers are started one by one. */
static void pool_next_generation(struct pool *pool, struct generation *next)
{
    struct generation *present = pool->current;
    INVARIANT(next->live == 0 && next->older == NULL && next->number > present->number);
    unsigned first = MAX(pool_first(next->pool), pool_in_service(pool));
    pool->first = MIN(first, (unsigned)next->pool->pm_max_children);
    if (!pool->older_retired) /* replaced before it served */
        pool_stop_generation(pool, present, EXIT_CAUSE_STOP_RELOAD, POOL_STOP_GRACEFUL);
    scoreboard_notify(&present->scoreboard, 0);
    next->older = present;
    pool->current = next;
    pool->number = next->number;
    pool->older_retired = false;
    pool->proven = false;
    pool->started = pool->failed = 0;
    pool->failure[0] = '\0';
    pool->backoff = (struct backoff){0};
}

void pool_disown_socket(struct pool *pool)
{
    socket_disown(&pool->listener);
    pool->listener_shared = true;
}

void pool_update_socket(struct pool *pool, const struct config_pool *settings)
{
    struct socket_spec spec;
    char why[ERROR_SIZE];
    if (pool->filtered)
        pool_count_dropped(pool);
    if (pool_socket_spec(settings, &spec, why, sizeof why) != 0 ||
        socket_allow(pool->listener.fd, spec.clients, why, sizeof why) != 0 ||
        socket_update(&pool->listener, &spec, why, sizeof why) != 0)
        log_pool(LOG_LEVEL_ERROR, pool->name, "`listen = %s`: %s", settings->listen.text, why);
    pool_note_filter(pool, settings);
}

/* A socket that is given up accepts no new connections by its name. The connections in its queue
 * are served by the older workers, which stop when it is empty. */
static void pool_change_socket(struct pool *pool, struct socket_listener *next)
{
    pool_serve_queue(pool);
    if (pool_may_filter(pool))
        pool_set_filter(pool, true);
    socket_refuse(&pool->former);
    socket_close(&pool->former);
    if (!pool->listener_shared)
        pool_keep_socket(&pool->listener, "");
    if (pool_owns_socket(pool)) {
        pool_set_last_drain(pool, true);
        socket_unlink(&pool->listener);
    }
    pool->former = pool->listener;
    pool->former.given = !pool_owns_socket(pool);
    pool->listener_shared = false;
    pool->listener = *next;
    *next = SOCKET_NONE;
}

void pool_commit(struct pool *pool, const struct pool_request *request,
                 struct pool_prepared *prepared)
{
    if (prepared->listener.fd >= 0) {
        pool_change_socket(pool, &prepared->listener);
        pool->filter_stays = request->inherit != NULL;
        pool_note_filter(pool, request->settings);
    } else
        pool_update_socket(pool, request->settings);
    if (prepared->generation != NULL)
        pool_next_generation(pool, prepared->generation);
    else
        generation_apply(pool->current, request->config, request->settings);
    /* A generation that has not served yet must not wait for more workers than it may have now. */
    pool->first = MIN(pool->first, (unsigned)request->settings->pm_max_children);
    prepared->generation = NULL;
    slow_log_close(&pool->slowlog);
    pool->slowlog = prepared->slowlog;
    prepared->slowlog = NULL;
}

/* ---- a socket that was shut down ---- */

void pool_note_shut(struct pool *pool)
{
    int64_t now = clock_ms();
    pool->renewal.due = now;
    if (pool->renewal.last != 0)
        pool->renewal.due = MAX(now, pool->renewal.last + POOL_RENEWAL_MS);
}

/* Makes another unix socket, or TCP port where that cannot listen again, and replaces the workers,
 * which hold the former one. */
static int pool_make_socket_anew(struct pool *pool, char *error, size_t size)
{
    struct pool_prepared prepared;
    const struct pool_request request = {
        .config = pool->current->config,
        .settings = pool_settings(pool),
        .replace = true,
        .listen = true,
    };
    if (pool->listener.given) {
        snprintf(error, size,
                 "it was passed to the manager, which cannot make it: restart its "
                 "socket unit and the manager");
        return -1;
    }
    if (pool_prepare(pool, &request, &prepared, error, size).status != 0)
        return -1;
    pool_commit(pool, &request, &prepared);
    return 0;
}

void pool_renew_socket(struct pool *pool)
{
    struct pool_renewal *renewal = &pool->renewal;
    const struct config_pool *settings = pool_settings(pool);
    int64_t now = clock_ms();
    char error[sizeof pool->failure - 80];
    if (renewal->due == 0 || now < renewal->due || pool->stop != POOL_STOP_NONE)
        return;
    renewal->due = 0;
    if (!socket_is_shut(pool->listener.fd)) {
        if (log_episode_end(&renewal->failed))
            pool->failure[0] = '\0';
        return;
    }
    renewal->last = now;
    bool again = socket_listen_again(pool->listener.fd, (int)settings->listen_backlog) == 0;
    if (again || pool_make_socket_anew(pool, error, sizeof error) == 0) {
        (void)log_episode_end(&renewal->failed);
        pool->failure[0] = '\0';
        log_pool(LOG_LEVEL_ERROR, pool->name,
                 "a worker has shut down the listening socket: %s; see what its program does",
                 again ? "it listens again" : "it was made anew, with new workers");
        return;
    }
    renewal->due = now + POOL_RENEWAL_MS;
    snprintf(pool->failure, sizeof pool->failure,
             "a worker has shut down the listening socket, and no other can be had: %s", error);
    if (log_episode_begin(&renewal->failed))
        log_pool(LOG_LEVEL_ERROR, pool->name, "%s; the pool does not serve, and it is tried again",
                 pool->failure);
}

bool pool_is_proven(struct pool *pool, int64_t now)
{
    const struct generation *generation = pool->current;
    for (unsigned i = 0; i < generation->size && !pool->proven; i++) {
        const struct generation_member *member = &generation->members[i];
        if (!generation_member_in_service(member) || member->worker.state != WORKER_RUNNING)
            continue;
        enum scoreboard_phase phase = scoreboard_glance(&generation->scoreboard, i).phase;
        pool->proven = phase == SCOREBOARD_UNATTACHED
                           ? member->accepted || now - member->worker.started >= POOL_PROOF_MS
                           : phase != SCOREBOARD_STARTING;
    }
    return pool->proven;
}

bool pool_retire_older(struct pool *pool, unsigned accepting)
{
    if (pool->older_retired || accepting < pool->first)
        return pool->older_retired;
    pool->older_retired = true;
    log_pool(LOG_LEVEL_NOTICE, pool->name,
             "the workers of generation %u serve requests; older workers are stopped",
             pool->number);
    socket_refuse(&pool->former);
    for (struct generation *g = pool->current->older; g != NULL; g = g->older)
        pool_stop_generation(pool, g, EXIT_CAUSE_STOP_RELOAD, POOL_STOP_GRACEFUL);
    return true;
}
